package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"switchpoint/broker"
)

// closedError is how the driver names a connection that is closed.
type closedError struct{}

func (closedError) Error() string     { return "conn closed" }
func (closedError) SafeToRetry() bool { return true }

func TestJudge(t *testing.T) {
	code := func(c string) error { return fmt.Errorf("x: %w", &pgconn.PgError{Code: c, Message: "m"}) }
	for name, tc := range map[string]struct {
		err  error
		want fault
	}{
		"serialization":       {code("40001"), fault{unavailable: true, undone: true}},
		"deadlock":            {code("40P01"), fault{unavailable: true, undone: true}},
		"read-only":           {code("25006"), fault{unavailable: true, undone: true, reset: true}},
		"shutdown":            {code("57P01"), fault{unavailable: true, lost: true, reset: true}},
		"crash":               {code("57P02"), fault{unavailable: true, lost: true, reset: true}},
		"starting":            {&noConnError{code("57P03")}, fault{unavailable: true, undone: true}},
		"connection":          {code("08006"), fault{unavailable: true, lost: true, reset: true}},
		"too many":            {&noConnError{code("53300")}, fault{unavailable: true, undone: true}},
		"disk full":           {code("53100"), fault{unavailable: true}},
		"cancelled":           {code("57014"), fault{unavailable: true}},
		"password":            {&noConnError{code("28P01")}, fault{unavailable: true}},
		"syntax":              {code("42601"), fault{}},
		"unique":              {code("23505"), fault{}},
		"claim":               {&pgconn.PgError{Code: "23505", ConstraintName: "desktop_claim"}, fault{undone: true}},
		"stale plan":          {&pgconn.PgError{Code: "0A000", Message: "cached plan must not change result type"}, fault{undone: true}},
		"other feature":       {code("0A000"), fault{}},
		"deadline":            {context.DeadlineExceeded, fault{unavailable: true, lost: true, reset: true, silent: true}},
		"deadline, not asked": {&noConnError{context.DeadlineExceeded}, fault{unavailable: true, undone: true}},
		"caller gave up":      {context.Canceled, fault{unavailable: true}},
		"refused":             {&noConnError{errors.New("refused")}, fault{unavailable: true, undone: true}},
		"cut":                 {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), fault{unavailable: true, lost: true, reset: true}},
		"reset by peer":       {&net.OpError{Op: "read", Err: errors.New("reset")}, fault{unavailable: true, lost: true, reset: true}},
		"closed":              {closedError{}, fault{unavailable: true, undone: true, reset: true}},
		"closed at the end":   {&commitError{closedError{}}, fault{unavailable: true, lost: true, reset: true}},
		"conflict at the end": {&commitError{code("40001")}, fault{unavailable: true, undone: true}},
		"all read-only":       {&noConnError{errReadOnly}, fault{unavailable: true, undone: true}},
		"old copy":            {&noConnError{fmt.Errorf("x: %w", errStale)}, fault{unavailable: true}},
		"old copy behind":     {errStale, fault{unavailable: true, reset: true}},
		"ours":                {errors.New("bug"), fault{}},
		"domain":              {broker.ErrConflict, fault{}},
	} {
		if got := judge(tc.err); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
	if err := classify(fmt.Errorf("x: %w", pgx.ErrNoRows)); !errors.Is(err, broker.ErrNotFound) {
		t.Error(err)
	}
	if err := classify(code("40001")); !errors.Is(err, broker.ErrUnavailable) {
		t.Error(err)
	}
	if err := classify(broker.ErrFenced); errors.Is(err, broker.ErrUnavailable) {
		t.Error(err)
	}
}

func TestAge(t *testing.T) {
	for _, tc := range []struct {
		a, b age
		want bool
	}{
		{age{1, 5}, age{2, 4}, true}, // a primary that was replaced, whatever was written to it since
		{age{2, 4}, age{1, 5}, false},
		{age{2, 4}, age{2, 5}, true}, // a restored copy
		{age{2, 5}, age{2, 5}, false},
		{age{0, 4}, age{2, 5}, true}, // a server that does not say
		{age{0, 5}, age{2, 5}, false},
	} {
		if got := tc.a.older(tc.b); got != tc.want {
			t.Errorf("%v older than %v: %v", tc.a, tc.b, got)
		}
	}
}
