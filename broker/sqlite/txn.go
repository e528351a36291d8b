package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"switchpoint/broker"
)

// nowSQL is the database's clock in milliseconds.
const nowSQL = `CAST(unixepoch('subsec') * 1000 AS INTEGER)`

// txn is one transaction with its one moment: every row that it writes carries the same time.
type txn struct {
	*sql.Tx
	ctx   context.Context
	now   int64
	known *Queries  // nil: every query is compiled where it is used
	wants *[]string // queries to be compiled afterwards
}

func (t txn) exec(query string, args ...any) (int, error) {
	var r sql.Result
	var err error
	if stmt := t.compiled(query); stmt != nil { //nolint:sqlclosecheck // it ends with the transaction
		r, err = stmt.ExecContext(t.ctx, args...)
	} else {
		r, err = t.ExecContext(t.ctx, query, args...)
	}
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// row is to be scanned before the next query.
func (t txn) row(query string, args ...any) *sql.Row {
	if stmt := t.compiled(query); stmt != nil { //nolint:sqlclosecheck // it ends with the transaction
		return stmt.QueryRowContext(t.ctx, args...)
	}
	return t.QueryRowContext(t.ctx, query, args...)
}

// rows are to be closed before the next query.
func (t txn) rows(query string, args ...any) (*sql.Rows, error) {
	if stmt := t.compiled(query); stmt != nil { //nolint:sqlclosecheck // it ends with the transaction
		return stmt.QueryContext(t.ctx, args...)
	}
	return t.QueryContext(t.ctx, query, args...)
}

// compiled is the query for this transaction, or nil.
func (t txn) compiled(query string) *sql.Stmt {
	if t.known == nil {
		return nil
	}
	stmt, wanted := t.known.Find(query)
	if wanted {
		*t.wants = append(*t.wants, query)
	}
	if stmt == nil {
		return nil
	}
	return t.StmtContext(t.ctx, stmt)
}

// write runs fn in one immediate transaction and commits unless fn fails.
func (s *Store) write(ctx context.Context, op string, fn func(txn) error) error {
	return run(ctx, op, fn, s.writes, func() (*sql.Tx, error) { return s.turn.begin(ctx, s.writer, s.busy) })
}

// read runs fn on one consistent view of the database.
func (s *Store) read(ctx context.Context, op string, fn func(txn) error) error {
	return run(ctx, op, fn, s.reads, func() (*sql.Tx, error) { return s.readers.BeginTx(ctx, nil) })
}

func run(ctx context.Context, op string, fn func(txn) error, known *Queries, begin func() (*sql.Tx, error)) error {
	tx, err := begin()
	if err != nil {
		return fmt.Errorf("%s: %w", op, classify(err))
	}
	var wants []string
	defer func() { known.Compile(ctx, wants) }() // the connection is free again by then
	defer tx.Rollback()                          // after Commit it does nothing
	t := txn{Tx: tx, ctx: ctx, known: known, wants: &wants}
	if err := t.row(`SELECT ` + nowSQL).Scan(&t.now); err != nil {
		return fmt.Errorf("%s: %w", op, classify(err))
	}
	if err := fn(t); err != nil {
		return fmt.Errorf("%s: %w", op, classify(err))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", op, classify(err))
	}
	return nil
}

// classify turns the driver's errors into the store's. What it does not know stays as it is:
// a fault of ours, not a state of the database.
func classify(err error) error {
	var e *sqlite.Error
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return broker.ErrNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, sql.ErrTxDone): // database/sql rolls back as soon as the context ends
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	case !errors.As(err, &e):
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PROTOCOL:
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	}
	return err
}

func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func span(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
