package realserver

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain leaves out what pgx does with a connection whose server has vanished: it asks the server to cancel,
// for up to 15 s, and then goes.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgconn.(*PgConn).asyncClose.func1"))
}
