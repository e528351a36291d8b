package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	maxAttempts  = 6
	firstBackoff = 5 * time.Millisecond // doubled each time
	idleBound    = "5s"                 // of a transaction whose client has died between two statements
	resetEvery   = time.Second          // at most, for servers that only do not answer
)

// link is one connection in use: outside of a transaction, each of its statements is one.
type link struct {
	q interface { // a connection of the pool, or a transaction
		Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
		QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	}
	ctx  context.Context
	mode pgx.QueryExecMode
}

// args puts the mode before the parameters and makes text of them that the server takes: a client
// may send any bytes, and neither NUL nor what is not UTF-8 can be stored.
func (l link) args(args []any) []any {
	out := make([]any, 0, 1+len(args))
	out = append(out, l.mode)
	for _, a := range args {
		if s, ok := a.(string); ok {
			a = storable(s)
		}
		out = append(out, a)
	}
	return out
}

// storable replaces what the server does not take as text.
func storable(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func (l link) exec(sql string, args ...any) (int, error) {
	tag, err := l.q.Exec(l.ctx, sql, l.args(args)...)
	return int(tag.RowsAffected()), err
}

func (l link) row(sql string, args ...any) pgx.Row { return l.q.QueryRow(l.ctx, sql, l.args(args)...) }

// each calls fn for every row of a query.
func (l link) each(sql string, fn func(pgx.Row) error, args ...any) error {
	rows, err := l.q.Query(l.ctx, sql, l.args(args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// kind says how a call runs.
type kind struct {
	begin string // of the transaction; empty: one statement, which is its own
	again bool   // it only reads, so it may be repeated when nobody knows whether it ran
	aside bool   // over the connections that no login waits for or keeps waiting
}

// ask runs fn, which reads with one statement.
func (s *Store) ask(ctx context.Context, op string, fn func(link) error) error {
	return s.run(ctx, op, kind{again: true}, fn)
}

// view runs fn, which reads with several statements, on one state of the database.
func (s *Store) view(ctx context.Context, op string, fn func(link) error) error {
	return s.run(ctx, op, kind{begin: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", again: true}, fn)
}

// once runs fn, which writes with one statement.
func (s *Store) once(ctx context.Context, op string, fn func(link) error) error {
	return s.run(ctx, op, kind{}, fn)
}

// watch and beat are ask and once for what says whether the database answers: behind a queue of logins they
// would take a busy broker for one without a database.
func (s *Store) watch(ctx context.Context, op string, fn func(link) error) error {
	return s.run(ctx, op, kind{again: true, aside: true}, fn)
}

func (s *Store) beat(ctx context.Context, op string, fn func(link) error) error {
	return s.run(ctx, op, kind{aside: true}, fn)
}

// write runs fn in one transaction. Each of its statements sees what is committed by then.
func (s *Store) write(ctx context.Context, op string, fn func(link) error) error {
	return s.run(ctx, op, kind{begin: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"}, fn)
}

// run calls fn until it succeeds, fails for good or its time is over. fn starts anew each time.
func (s *Store) run(ctx context.Context, op string, k kind, fn func(link) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	if err := s.prepare(ctx); err != nil {
		return fmt.Errorf("%s: %w", op, classify(err))
	}
	for attempt := 1; ; attempt++ {
		err := s.try(ctx, k, fn)
		if err == nil {
			return nil
		}
		f := judge(err)
		if f.reset && s.resets.due(f.silent) {
			s.log.Warn("database connections are made anew", "error", err)
			s.pool.Reset()
			s.aside.Reset()
		}
		if !f.undone && !(k.again && f.lost) || attempt == maxAttempts || !wait(ctx, attempt) {
			return fmt.Errorf("%s: %w", op, classify(err))
		}
	}
}

// try is one attempt.
func (s *Store) try(ctx context.Context, k kind, fn func(link) error) error {
	pool := s.pool
	if k.aside {
		pool = s.aside
	}
	c, err := pool.Acquire(ctx)
	if err != nil {
		return &noConnError{err}
	}
	defer c.Release()
	l := link{q: c, ctx: ctx, mode: mode(c.Conn())}
	if k.begin == "" {
		return fn(l)
	}
	tx, err := c.BeginTx(ctx, pgx.TxOptions{BeginQuery: k.begin + bounds(ctx)})
	if err != nil {
		return err
	}
	l.q = tx
	if err := fn(l); err != nil {
		over, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
		defer cancel()
		_ = tx.Rollback(over) // when it fails, the connection is closed, and that ends the transaction
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return &commitError{err}
	}
	return nil
}

// bounds ends a transaction on the server too, together with its context. They are of this
// transaction alone, and travel with its BEGIN.
func bounds(ctx context.Context) string {
	deadline, _ := ctx.Deadline()
	ms := max(1, time.Until(deadline).Milliseconds())
	return "; SET LOCAL statement_timeout = " + strconv.FormatInt(ms, 10) + "; SET LOCAL idle_in_transaction_session_timeout = '" + idleBound + "'"
}

// wait sleeps before the next attempt and says whether there is time for one.
func wait(ctx context.Context, attempt int) bool {
	d := firstBackoff << (attempt - 1)
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// resets keeps a server that is only slow from being hit by new connections again and again.
type resets struct{ last atomic.Int64 }

// due says whether to make the connections anew now; a server that said why is always believed.
func (r *resets) due(silent bool) bool {
	now := time.Now().UnixNano()
	last := r.last.Load()
	if silent && now-last < int64(resetEvery) {
		return false
	}
	return r.last.CompareAndSwap(last, now)
}

// noConnError: nothing was asked of the server.
type noConnError struct{ err error }

func (e *noConnError) Error() string { return "connect: " + e.err.Error() }
func (e *noConnError) Unwrap() error { return e.err }

// commitError: the end of a transaction was asked for. Unless the server answers, nobody knows whether it
// stands, whatever the driver says: it takes a connection that broke under a simple statement for one
// that was closed before.
type commitError struct{ err error }

func (e *commitError) Error() string { return "commit: " + e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// errAgain makes run start anew: another transaction was faster.
var errAgain = errors.New("changed meanwhile")
