package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errStale: the server is an old copy of the database that this process has seen.
var errStale = errors.New("the server is an old copy of this database")

// errReadOnly: the server is a standby or is closed for writing.
var errReadOnly = errors.New("the server cannot be written")

// age orders the copies of one database: the WAL timeline rises when a standby is promoted, the
// epoch of the cluster with what brokers write.
type age struct {
	timeline uint32 // 0: the server does not say
	epoch    int64
}

// older says whether a is an older copy than b. A higher timeline is newer whatever its epoch: a
// promoted standby may have lost the last writes, and all go on with it.
func (a age) older(b age) bool {
	if a.timeline != 0 && b.timeline != 0 && a.timeline != b.timeline {
		return a.timeline < b.timeline
	}
	return a.epoch < b.epoch
}

// guard remembers the newest copy that this process has seen.
type guard struct {
	log    *slog.Logger
	mu     sync.Mutex
	newest age
}

// seen is the newest copy so far. It is asked for before a server is: an answer that was on its way
// while another one brought something newer is not old.
func (g *guard) seen() age {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.newest
}

// admit remembers a, or refuses it when it is older than what was seen before the question.
func (g *guard) admit(a, before age) error {
	if a.older(before) {
		return fmt.Errorf("%w: timeline %d, epoch %d; seen before: timeline %d, epoch %d", errStale, a.timeline, a.epoch, before.timeline, before.epoch)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.newest
	if !a.older(old) {
		g.newest = a
	}
	if a.timeline > old.timeline && old.timeline != 0 {
		g.log.Warn("the database was promoted", "timeline", a.timeline, "before", old.timeline, "epoch", a.epoch, "epoch_before", old.epoch)
	}
	return nil
}

// lookSQL asks a server what it is. The timeline is the first eight digits of the name of the WAL
// file that is being written; a standby writes none.
const (
	lookSQL = `SELECT pg_backend_pid(), current_setting('transaction_read_only'), COALESCE((SELECT epoch FROM cluster), 0), `
	lineSQL = `CASE WHEN pg_is_in_recovery() THEN '0' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END`
)

// directSQL bounds what a dead client leaves behind. It is a setting of the session, which through
// a pooler would be somebody else's; there, transactions bring their own (run.go).
const directSQL = `SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '5s'`

// look is what a server says of itself.
type look struct {
	direct   bool // no pooler between
	readOnly bool
	age
}

// viaPooler is the key under which a connection remembers that a pooler stands between.
const viaPooler = "switchpoint.pooler"

// admitServer looks at a server that was just signed in to: one that refuses makes the driver try
// the next of the URL.
func (g *guard) admitServer(ctx context.Context, c *pgconn.PgConn) error {
	before := g.seen()
	l, err := lookAt(ctx, c)
	switch {
	case err != nil:
		return err
	case l.readOnly:
		return errReadOnly
	}
	if err := g.admit(l.age, before); err != nil {
		return err
	}
	if !l.direct {
		c.CustomData()[viaPooler] = true
		return nil
	}
	_, err = c.Exec(ctx, directSQL).ReadAll()
	return err
}

func lookAt(ctx context.Context, c *pgconn.PgConn) (look, error) {
	rows, err := c.Exec(ctx, lookSQL+lineSQL).ReadAll()
	if silent(err) {
		rows, err = c.Exec(ctx, lookSQL+`'0'`).ReadAll()
	}
	if err != nil {
		return look{}, err
	}
	if len(rows) != 1 || len(rows[0].Rows) != 1 || len(rows[0].Rows[0]) != 4 {
		return look{}, errors.New("the server does not say what it is")
	}
	row := rows[0].Rows[0]
	epoch, err1 := strconv.ParseInt(string(row[2]), 10, 64)
	line, err2 := strconv.ParseUint(string(row[3]), 16, 32)
	// A pooler gives clients a process number of its own.
	direct := string(row[0]) == strconv.FormatUint(uint64(c.PID()), 10)
	return look{direct: direct, readOnly: string(row[1]) == "on", age: age{timeline: uint32(line), epoch: epoch}}, errors.Join(err1, err2)
}

// versionSQL is what every broker asks once a second.
const versionSQL = `SELECT COALESCE((SELECT version FROM setup), 0), COALESCE((SELECT epoch FROM cluster), 0), `

// readVersion asks for the version of the setup, and what the server is now.
func readVersion(l link) (int64, age, error) {
	var version int64
	var now age
	var line string
	err := l.row(versionSQL+lineSQL).Scan(&version, &now.epoch, &line)
	if silent(err) {
		line = "0"
		err = l.row(versionSQL+`'0'`).Scan(&version, &now.epoch, &line)
	}
	if err != nil {
		return 0, now, err
	}
	n, err := strconv.ParseUint(line, 16, 32)
	now.timeline = uint32(n)
	return version, now, err
}

// silent says whether a server does not know or does not allow the question for its timeline.
func silent(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "42501" || e.Code == "42883")
}

// mode is how statements reach the server: named prepared statements belong to a connection of the
// server, of which a pooler gives a client another one each time.
func mode(c *pgx.Conn) pgx.QueryExecMode {
	if c.PgConn().CustomData()[viaPooler] != nil {
		return pgx.QueryExecModeCacheDescribe
	}
	return pgx.QueryExecModeCacheStatement
}
