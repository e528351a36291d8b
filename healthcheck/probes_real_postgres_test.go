package healthcheck

import (
	"net"
	"testing"
	"time"

	"switchpoint/internal/realserver"
)

// probeUser may connect and has no other right.
const probeUser = "CREATE ROLE probe LOGIN PASSWORD 'probe-secret'"

func postgresMonitor(t *testing.T, role string) Monitor {
	m := quick("postgres")
	m.User, m.Password, m.SSLMode, m.Role = "probe", secretFile(t, "probe-secret"), "disable", role
	return m
}

func testRealPostgres(t *testing.T) {
	t.Parallel()
	s := realserver.Postgres(t, realserver.PostgresOptions{TLS: true, Settings: map[string]string{"max_connections": "8", "superuser_reserved_connections": "2"}})
	s.Exec(probeUser)
	primary, either, replica := postgresMonitor(t, "primary"), postgresMonitor(t, "any"), postgresMonitor(t, "replica")
	liveThrough(t, s, primary, s.Addr, "it is a primary", "timed out while signing in")
	expect(t, "not a replica", replica, s.Addr, Down, "it is a primary, wanted a replica")

	s.Exec("ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()")
	expect(t, "read-only", primary, s.Addr, Down, "it is a primary, but it is read-only (default_transaction_read_only), wanted ")
	expect(t, "read-only, any", either, s.Addr, Up, "it is a primary, but it is read-only")
	s.Exec("SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf()")
	expect(t, "writable again", primary, s.Addr, Up, "it is a primary")

	wrong := primary
	wrong.Password = secretFile(t, "wrong")
	expect(t, "wrong password", wrong, s.Addr, Down, `sign-in refused: "password authentication failed for user \"probe\"" (28P01)`)
	wrong = primary
	wrong.User = "nobody"
	expect(t, "unknown user", wrong, s.Addr, Down, `sign-in refused: "password authentication failed for user \"nobody\"" (28P01)`)
	wrong = primary
	wrong.Database = "gone"
	expect(t, "unknown database", wrong, s.Addr, Down, `the database is missing: "database \"gone\" does not exist" (3D000)`)

	secure := primary
	secure.SSLMode = "verify-full"
	expect(t, "unknown authority", secure, s.Addr, Down, "certificate signed by an unknown authority")
	secure.CA = s.CAFile
	if r := expect(t, "TLS", secure, s.Addr, Up, "it is a primary"); r.TLS <= 0 || r.CertExpiry.IsZero() || r.TTFB <= 0 {
		t.Errorf("facts: %+v", r)
	}
	secure.ServerName = "db.company.com"
	expect(t, "other name", secure, s.Addr, Down, `certificate is not for "db.company.com" but for `)
	secure.CA, secure.ServerName, secure.SSLMode = "", "", "require"
	expect(t, "unverified", secure, s.Addr, Up, "it is a primary")

	free := occupy(t, s.Addr)
	expect(t, "out of connections", primary, s.Addr, Overloaded, "no free connection: ")
	free()
	expect(t, "connections again", primary, s.Addr, Up, "it is a primary")
}

// occupy takes all connections of a server by beginning to sign in and never ending it.
func occupy(t *testing.T, address string) (free func()) {
	t.Helper()
	const hello = "\x00\x00\x00\x14\x00\x03\x00\x00user\x00probe\x00\x00"
	var held []net.Conn
	for {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		kind := make([]byte, 1)
		if _, err := c.Write([]byte(hello)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(kind); err != nil {
			t.Fatal(err)
		}
		if kind[0] == 'E' || len(held) > 100 {
			break
		}
	}
	return func() {
		for _, c := range held {
			_ = c.Close()
		}
	}
}

func testRealReplica(t *testing.T) {
	t.Parallel()
	s := realserver.Postgres(t, realserver.PostgresOptions{})
	s.Exec(probeUser)
	standby := s.Standby()
	primary, replica := postgresMonitor(t, "primary"), postgresMonitor(t, "replica")
	near := replica
	near.MaxLag = "1MB"
	expect(t, "replica", near, standby.Addr, Up, "it is a replica, 0 bytes behind")
	expect(t, "replica as primary", primary, standby.Addr, Down, "it is a replica, 0 bytes behind, wanted a primary that can be written to")
	expect(t, "any", postgresMonitor(t, "any"), standby.Addr, Up, "it is a replica")

	standby.Exec("SELECT pg_wal_replay_pause()")
	s.Exec("CREATE TABLE much AS SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
	expect(t, "behind", near, standby.Addr, Down, "it is a replica, ")
	expect(t, "behind without limit", replica, standby.Addr, Up, "it is a replica, ")
	standby.Exec("SELECT pg_wal_replay_resume()")
	expect(t, "caught up", near, standby.Addr, Up, "it is a replica, 0 bytes behind")

	s.Kill()
	expect(t, "alone", near, standby.Addr, Up, "it is a replica, 0 bytes behind, not connected to a primary")
	standby.Exec("SELECT pg_promote()")
	expect(t, "promoted", primary, standby.Addr, Up, "it is a primary")
}
