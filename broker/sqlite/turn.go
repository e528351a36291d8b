package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// beginBusy is how long one BEGIN waits for the lock of SQLite before the turn is taken.
	beginBusy = 3 * time.Millisecond
	turnPoll  = time.Millisecond
	// yieldBound is how long others are let go first: one that was stopped while it waited must not
	// keep the others from writing.
	yieldBound = 100 * time.Millisecond
)

// turn lets the writers of several processes follow each other. SQLite's own lock does not: who waits
// for it looks at it now and then, and a process that writes without a pause has it again each time. So
// one that has waited holds the lock of this file until it may write, and all look at that first.
type turn struct {
	file  *os.File
	asked chan struct{} // has room for the one goroutine of this store that is about to begin
}

func newTurn(path string) (*turn, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	return &turn{file: f, asked: make(chan struct{}, 1)}, err
}

// begin begins a transaction that writes, within bound.
func (t *turn) begin(ctx context.Context, db *sql.DB, bound time.Duration) (*sql.Tx, error) {
	select {
	case t.asked <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-t.asked }()
	began := time.Now()
	if err := t.yield(ctx, began.Add(min(bound, yieldBound))); err != nil {
		return nil, err
	}
	mine := false
	defer func() {
		if mine {
			_ = unlock(t.file) // closing the file drops it, too
		}
	}()
	for {
		tx, err := db.BeginTx(ctx, nil)
		if !busy(err) || time.Since(began) >= bound {
			return tx, err
		}
		if !mine {
			held, err := tryLock(t.file)
			mine = err == nil && !held
		}
	}
}

// yield waits while a writer of another process has the turn.
func (t *turn) yield(ctx context.Context, until time.Time) error {
	for time.Now().Before(until) {
		held, err := tryLock(t.file)
		if err != nil {
			return err
		}
		if !held {
			return unlock(t.file)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(turnPoll):
		}
	}
	return nil
}

func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}
