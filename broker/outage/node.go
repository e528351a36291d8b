package outage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"switchpoint/broker/sqlite"
)

// nodeFile holds what only this broker knows and nobody may replace.
const nodeFile = "node.db"

// schemaNode brings an empty file up, statement by statement; user_version counts them. Append only.
var schemaNode = [...]string{
	`CREATE TABLE journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, act BLOB NOT NULL) STRICT`,
	`CREATE TABLE session (token_hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, session BLOB NOT NULL,
		ends_at INTEGER NOT NULL, over INTEGER NOT NULL DEFAULT 0 CHECK (over IN (0, 1))) STRICT, WITHOUT ROWID`,
	`CREATE INDEX session_ends ON session (ends_at)`,
	`CREATE TABLE refused (seq INTEGER PRIMARY KEY, act BLOB NOT NULL, why TEXT NOT NULL) STRICT`,
	`CREATE TABLE kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID`,
	`ALTER TABLE session ADD COLUMN kept_at INTEGER NOT NULL DEFAULT 0`,
	`ALTER TABLE session ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0`,
	`CREATE TABLE lease (directory TEXT NOT NULL, user TEXT NOT NULL, kind TEXT NOT NULL, desktop TEXT NOT NULL, client TEXT NOT NULL,
		recorded_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, run INTEGER NOT NULL, lease BLOB NOT NULL,
		PRIMARY KEY (directory, user, kind, desktop, client)) STRICT, WITHOUT ROWID`,
	`CREATE INDEX lease_desktop ON lease (desktop, recorded_at) WHERE kind = 'launch'`,
	`CREATE INDEX lease_expires ON lease (expires_at)`,
	`ALTER TABLE session ADD COLUMN journalled INTEGER NOT NULL DEFAULT 0`,
	`ALTER TABLE journal ADD COLUMN kind TEXT NOT NULL DEFAULT ''`,
	`CREATE INDEX journal_operator ON journal (seq) WHERE kind = 'operator'`,
}

const (
	batchMost = 256  // writes that share one transaction
	queueMost = 4096 // writes that wait
)

// node is node.db. Its writes share transactions: whoever waits for one waits for a commit, not for
// all the commits before it.
type node struct {
	db      *sql.DB
	queries *sqlite.Queries
	queue   chan nodeWrite
	over    chan struct{} // closed when nothing is written any more
	count   atomic.Int64  // acts in the journal
	aside   atomic.Int64  // acts set aside
	copies  copies
}

// nodeWrite is a part of a transaction.
type nodeWrite struct {
	do   func(context.Context, nodeTx) error
	then func() // once it is committed; may be nil
	done chan error
}

// openNode opens or creates the file. Close it after run has ended.
func openNode(ctx context.Context, path string) (*node, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite gives its mode to -wal and -shm
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{
		"_pragma": {"busy_timeout(2000)", "auto_vacuum(INCREMENTAL)", "journal_mode(WAL)", "synchronous(FULL)", "trusted_schema(0)", "temp_store(2)"}, "_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4) // the writer, and those that read
	n := &node{db: db, queries: sqlite.NewQueries(db), queue: make(chan nodeWrite, queueMost), over: make(chan struct{})}
	err = n.upgrade(ctx)
	if err == nil {
		err = n.returnsRoom(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return n, nil
}

func (n *node) upgrade(ctx context.Context) error {
	tx, err := n.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	var version int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version > len(schemaNode) {
		return fmt.Errorf("it was made by a newer version of this program (schema %d, this one knows %d)", version, len(schemaNode))
	}
	for _, statement := range schemaNode[version:] {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, len(schemaNode))); err != nil {
		return err
	}
	var count, aside int64
	if err := tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM journal), (SELECT COUNT(*) FROM refused)`).Scan(&count, &aside); err != nil {
		return err
	}
	n.count.Store(count)
	n.aside.Store(aside)
	return tx.Commit()
}

func (n *node) close() error { return errors.Join(n.queries.Close(), n.db.Close()) }

func (n *node) closed() bool {
	select {
	case <-n.over:
		return true
	default:
		return false
	}
}

var errNodeClosed = errors.New("the files for an outage are closed")

// write waits until do has been committed together with what others wrote.
func (n *node) write(ctx context.Context, do func(context.Context, nodeTx) error, then func()) error {
	w := nodeWrite{do: do, then: then, done: make(chan error, 1)}
	select {
	case n.queue <- w:
	case <-n.over:
		return errNodeClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.done:
		return err
	case <-n.over: // it may have been in the last transaction
		select {
		case err := <-w.done:
			return err
		default:
			return errNodeClosed
		}
	case <-ctx.Done(): // it may be written all the same: every write may be repeated
		return ctx.Err()
	}
}

// run writes until ctx ends and the queue is empty.
func (n *node) run(ctx context.Context) {
	defer close(n.over)
	for {
		select {
		case w := <-n.queue:
			n.batch(w)
		case <-ctx.Done():
			for {
				select {
				case w := <-n.queue:
					n.batch(w)
				default:
					return
				}
			}
		}
	}
}

// batch commits first and what waits behind it. A write that fails is left out, not the others.
func (n *node) batch(first nodeWrite) {
	writes := []nodeWrite{first}
	for len(writes) < batchMost {
		select {
		case w := <-n.queue:
			writes = append(writes, w)
			continue
		default:
		}
		break
	}
	errs := make([]error, len(writes))
	err := n.commit(writes, errs)
	for i, w := range writes {
		if err == nil && errs[i] == nil && w.then != nil {
			w.then()
		}
		w.done <- errors.Join(errs[i], err)
	}
}

func (n *node) commit(writes []nodeWrite, errs []error) error {
	ctx := context.Background() // callers come and go, the transaction is of all of them
	begun, err := n.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	var wants []string
	defer func() { n.queries.Compile(ctx, wants) }()
	tx := nodeTx{begun, n, &wants}
	defer tx.Rollback() // after Commit it does nothing
	for i, w := range writes {
		if _, err := tx.ExecContext(ctx, `SAVEPOINT one`); err != nil {
			return err
		}
		if errs[i] = w.do(ctx, tx); errs[i] != nil {
			if _, err := tx.ExecContext(ctx, `ROLLBACK TO one`); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `RELEASE one`); err != nil {
			return err
		}
	}
	return tx.Commit()
}
