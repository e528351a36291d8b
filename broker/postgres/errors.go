package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"switchpoint/broker"
)

// fault is what an error means for the call, its transaction and the connections of the process.
type fault struct {
	unavailable bool // the database is at fault, not the question
	undone      bool // nothing of the transaction stands: it may be repeated
	lost        bool // nobody knows whether it stands: only what reads may be repeated
	reset       bool // the other connections are likely to have the same fault
	silent      bool // that is only a guess, for nothing was heard
}

// judge is the one table of errors. The codes are PostgreSQL's (appendix A of its manual).
func judge(err error) fault {
	var e *pgconn.PgError
	var noConn *noConnError
	var end *commitError
	connecting, ending := errors.As(err, &noConn), errors.As(err, &end)
	switch {
	case errors.Is(err, errAgain):
		return fault{undone: true, unavailable: true}
	case errors.Is(err, errStale):
		return fault{unavailable: true, reset: !connecting}
	case errors.Is(err, errReadOnly):
		return fault{unavailable: true, undone: true}
	case errors.As(err, &e):
		f := judgeCode(e)
		if connecting { // nothing was asked, so nothing is lost
			f.undone, f.reset, f.lost = f.undone || f.lost || f.reset, false, false
		}
		return f
	case errors.Is(err, context.Canceled):
		return fault{unavailable: true}
	case connecting:
		return fault{unavailable: true, undone: true}
	case pgconn.SafeToRetry(err) && !ending:
		return fault{unavailable: true, undone: true, reset: true}
	case errors.Is(err, context.DeadlineExceeded):
		return fault{unavailable: true, lost: true, reset: true, silent: true}
	case ending, disconnected(err):
		return fault{unavailable: true, lost: true, reset: true}
	}
	return fault{}
}

func judgeCode(e *pgconn.PgError) fault {
	switch e.Code {
	case "40001", "40P01": // serialization failure, deadlock
		return fault{unavailable: true, undone: true}
	case "23505": // two claims for one slot of one user: the other one is his desktop
		return fault{undone: e.ConstraintName == "desktop_claim"}
	case "26000", "0A000": // a prepared statement that the server has lost, or whose table has changed
		return fault{undone: e.Code == "26000" || strings.Contains(e.Message, "cached plan")}
	case "25006": // read-only: this is no primary any more
		return fault{unavailable: true, undone: true, reset: true}
	case "57P01", "57P02", "57P03": // shut down, crashed, not ready yet
		return fault{unavailable: true, lost: true, reset: true}
	case "53300": // too many connections: it says so instead of signing in
		return fault{unavailable: true, undone: true}
	case "57014", "57P04", "57P05", "25P03", "55P03": // cancelled, dropped, idle for too long, locked
		return fault{unavailable: true}
	case "55000": // a standby was asked for its WAL
		return fault{unavailable: true, reset: true}
	case "3D000", "42501", "3F000", "42P01": // no such database, nothing allowed, no such schema, no tables
		return fault{unavailable: true}
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08": // connection
		return fault{unavailable: true, lost: true, reset: true}
	case "28", "53", "58", "XX": // not let in, out of resources, disk or system fault, damaged
		return fault{unavailable: true}
	}
	return fault{}
}

// disconnected says whether the connection ended under a statement.
func disconnected(err error) bool {
	var n net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.As(err, &n)
}

// classify turns the driver's errors into the store's. What it does not know stays as it is:
// a fault of ours, not a state of the database.
func classify(err error) error {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return broker.ErrNotFound
	case isSpent(err):
		return broker.ErrTicketUsed
	case judge(err).unavailable, isConnect(err):
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
	}
	return err
}

func isConnect(err error) bool {
	var e *pgconn.ConnectError
	return errors.As(err, &e)
}
