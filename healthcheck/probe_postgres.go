package healthcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

// Steps of a database probe, to complete "timed out ...".
const (
	inSignIn stage = "while signing in"
	inQuery  stage = "in the query"
)

// SQLSTATE codes of PostgreSQL (appendix A of its manual) that have words of their own here.
const (
	sqlTooManyConnections = "53300"
	sqlCannotConnectNow   = "57P03"
	sqlInvalidPassword    = "28P01"
	sqlInvalidAuth        = "28000"
	sqlUnknownDatabase    = "3D000"
)

// roleQuery asks for all that a role depends on. Its lag is what the server has received and not
// yet replayed; it is empty where nothing was received by streaming.
const roleQuery = `SELECT pg_is_in_recovery(), current_setting('transaction_read_only'),
 CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END,
 EXISTS (SELECT FROM pg_stat_wal_receiver)`

// database is a compiled monitor of kind postgres.
type database struct {
	dial   *dialer
	base   *pgconn.Config
	tls    *tls.Config // nil: plain
	user   string
	role   string
	maxLag int64 // -1: any
}

// newPostgres is kind "postgres": sign in and ask what the server is.
func newPostgres(m Monitor, d *dialer) (exchange, error) {
	p := &database{dial: d, user: m.User, role: m.Role, maxLag: -1}
	var password string
	var err error
	if m.Password != "" {
		if password, err = secret.Read(m.Password); err != nil {
			return nil, problem.Problem{Path: "password", What: err.Error(), Cure: secret.Cure}
		}
	}
	if m.MaxLag != "" {
		if p.maxLag, err = parseSize(m.MaxLag); err != nil {
			return nil, problem.Problem{Path: "max_lag", What: err.Error()}
		}
	}
	if m.SSLMode != "disable" {
		m.NoVerify = m.SSLMode == "require"
		if p.tls, err = anyTLS(m); err != nil {
			return nil, err
		}
	}
	// Only ParseConfig makes a usable Config. What it takes from the environment of the process
	// (PGHOST, PGOPTIONS, ...) is not meant for monitors: all of it is set anew.
	base, err := pgconn.ParseConfig("host=target port=1 user=nobody database=none password=none sslmode=disable passfile='' servicefile=''")
	if err != nil {
		return nil, problem.Problem{Path: "kind", What: "the environment of this process misleads the PostgreSQL library: " + err.Error(), Cure: "unset the PG... variables"}
	}
	base.User, base.Password, base.Database = m.User, password, m.Database
	base.RuntimeParams = map[string]string{"application_name": "switchpoint"}
	base.Fallbacks, base.ValidateConnect, base.AfterConnect, base.ConnectTimeout = nil, nil, nil, 0
	base.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	p.base = base
	return p.ask, nil
}

func (p *database) ask(ctx context.Context, address string, r *Result) {
	raw := p.dial.dialFor(ctx, p.tls, address, r)
	if raw == nil {
		return
	}
	defer raw.Close()
	wire := newBounded(raw)
	var conn net.Conn = wire
	if p.tls != nil {
		if conn = p.encrypt(ctx, wire, address, r); conn == nil {
			return
		}
	}
	cfg := p.base.Copy()
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	cfg.BuildFrontend = func(in io.Reader, out io.Writer) *pgproto3.Frontend {
		f := pgproto3.NewFrontend(in, out)
		f.SetMaxBodyLen(bodyLimit)
		return f
	}
	// The deadline is that of the connection; a context would make the library open another
	// connection to cancel the query.
	pg, err := pgconn.ConnectConfig(context.WithoutCancel(ctx), cfg)
	if err != nil {
		p.fail(ctx, inSignIn, wire, err, r)
		return
	}
	defer func() {
		_ = raw.Close() // first: the library's Close says good-bye and waits for an answer
		_ = pg.Close(context.WithoutCancel(ctx))
	}()
	sent := time.Now()
	results, err := pg.Exec(context.WithoutCancel(ctx), roleQuery).ReadAll()
	if err != nil {
		p.fail(ctx, inQuery, wire, err, r)
		return
	}
	r.TTFB = time.Since(sent)
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 4 {
		r.down("the server did not answer the query with one row of four values")
		return
	}
	row := results[0].Rows[0]
	s := serverFacts{recovery: string(row[0]) == "t", readOnly: string(row[1]) == "on", lag: -1, streaming: string(row[3]) == "t"}
	if lag, err := strconv.ParseInt(string(row[2]), 10, 64); err == nil {
		s.lag = max(0, lag) // replay may be ahead of what was received since a restart
	}
	r.State, r.Reason = s.judge(p.role, p.maxLag)
}

// encrypt asks for TLS and speaks it; nil means that r says why not.
func (p *database) encrypt(ctx context.Context, wire *bounded, address string, r *Result) net.Conn {
	sslRequest := []byte{0, 0, 0, 8, 4, 210, 22, 47} // PostgreSQL manual, 55.7 SSLRequest
	if _, err := wire.Write(sslRequest); err != nil {
		r.fail(ctx, inSend, err)
		return nil
	}
	var answer [1]byte
	if _, err := io.ReadFull(wire, answer[:]); err != nil {
		r.fail(ctx, inFirstByte, err)
		return nil
	}
	switch answer[0] {
	case 'S':
	case 'N':
		r.down(`the server offers no TLS; turn it on there, or write sslmode = "disable"`)
		return nil
	case 'E': // too many processes, or something older than TLS: the text is not to be trusted
		r.down("the server refuses before TLS")
		return nil
	default:
		r.down("not PostgreSQL: the answer begins with " + show(answer[:]))
		return nil
	}
	secure := handshake(ctx, wire, p.tls, address, r)
	if secure == nil {
		return nil // not a nil *tls.Conn in an interface
	}
	return secure
}

// fail makes r a failure of an operation. A server without a free connection lives and does its
// work, for others: that is overloaded, not down.
func (p *database) fail(ctx context.Context, at stage, wire *bounded, err error, r *Result) {
	var said *pgconn.PgError
	first, why := wire.seen()
	if !errors.As(err, &said) {
		r.keep(first)
		var long *pgproto3.ExceededMaxBodyLenErr
		switch {
		case p.tls == nil && len(first) > 0 && !strings.ContainsRune("RENSvKZ", rune(first[0])): // what may come first
			r.down("not PostgreSQL: the answer begins with " + show(first))
		case why != nil:
			r.fail(ctx, at, why)
		case errors.As(err, &long):
			r.down(fmt.Sprintf("the target sends a message longer than %d KB", bodyLimit>>10))
		default:
			r.fail(ctx, at, lastOf(err))
		}
		return
	}
	text := show([]byte(said.Message)) + " (" + said.Code + ")"
	switch said.Code {
	case sqlTooManyConnections:
		r.State, r.Reason = Overloaded, "no free connection: "+text
	case sqlCannotConnectNow:
		r.down("the server takes no connections now: " + text)
	case sqlInvalidPassword, sqlInvalidAuth:
		r.down("sign-in refused: " + text)
	case sqlUnknownDatabase:
		r.down("the database is missing: " + text)
	default:
		r.down("the server says " + text)
	}
}

// lastOf is the last one of joined errors: the library joins one for each attempt to connect.
func lastOf(err error) error {
	var joined interface{ Unwrap() []error }
	for errors.As(err, &joined) {
		all := joined.Unwrap()
		err = all[len(all)-1]
	}
	return err
}
