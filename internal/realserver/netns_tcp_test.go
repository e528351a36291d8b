package realserver

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// TestConnectionsOfWhichOneSideKnows: handshakes alone, a firewall that forgets, and a host that restarts,
// with PostgreSQL on that host.
func TestConnectionsOfWhichOneSideKnows(t *testing.T) {
	n := StartNetwork(t, "db", "a")
	db := n.Host("db")
	s := Postgres(t, PostgresOptions{Host: db})
	if host, _, err := net.SplitHostPort(s.Addr); err != nil || host != db.Addr().String() {
		t.Fatalf("it listens on %s, %v", s.Addr, err)
	}
	serveEcho(t, n.Host("a"))
	pool, err := sql.Open("pgx", s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	first, port := session(t, pool)

	n.Forget(port)
	if err := within(time.Second, first); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a connection that the firewall has forgotten: %v", err)
	}
	second, _ := session(t, pool)
	n.Heal()

	n.HalfOpen(db)
	if err := within(time.Second, second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a connection from before: %v", err)
	}
	c, err := net.DialTimeout("tcp", s.Addr, patience)
	if err != nil {
		t.Fatalf("the handshake: %v", err)
	}
	defer c.Close()
	says(t, n.Host("a"), n.Host("a").Addr(), "ok")
	says(t, db, n.Host("a").Addr(), "silence")
	n.Heal()
	says(t, db, n.Host("a").Addr(), "ok")

	third, _ := session(t, pool)
	db.Restart()
	eventually(t, "PostgreSQL went with its host", func() bool { return !s.proc.running() })
	s.Start()
	if err := within(patience, third); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a connection that the host forgot with all others: %v", err)
	}
	session(t, pool)
	says(t, db, n.Host("a").Addr(), "ok")
}

// session is a connection to the database with its own port.
func session(t *testing.T, pool *sql.DB) (*sql.Conn, uint16) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := pool.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var port string
	if err := c.QueryRowContext(ctx, `SELECT inet_client_port()::text`).Scan(&port); err != nil {
		t.Fatal(err)
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return c, uint16(p)
}

func within(d time.Duration, c *sql.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_, err := c.ExecContext(ctx, `SELECT 1`)
	return err
}
