package healthcheck

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"
)

// message is one message of PostgreSQL's protocol (manual, 55.7).
func message(kind byte, body string) string {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(body)+4))
	return string(kind) + string(length[:]) + body
}

func pgError(code, text string) string {
	return message('E', "SFATAL\x00VFATAL\x00C"+code+"\x00M"+text+"\x00\x00")
}

// signedIn is what a server says that asks for no password.
var signedIn = message('R', "\x00\x00\x00\x00") + message('Z', "I")

func TestPostgresRefuses(t *testing.T) {
	f := func(mode string, talk func(net.Conn), state State, reason string) {
		t.Helper()
		m := quick("postgres")
		m.User, m.SSLMode = "probe", mode
		timesOut := strings.HasPrefix(reason, "timed out")
		if timesOut {
			m.Timeout = 200 * time.Millisecond
		}
		r := Probe(t.Context(), m, responder(t, talk), Settings{})
		if r.State != state || r.Reason != reason || r.TimedOut != timesOut || len(r.FirstBytes) > firstBytes || r.Total > 4*time.Second {
			t.Errorf("got %s (%s), want %s (%s): %+v", r.State, r.Reason, state, reason, r)
		}
	}
	const plain = "disable"
	f(plain, then(asked, write(pgError("53300", "sorry, too many clients already"))), Overloaded, `no free connection: "sorry, too many clients already" (53300)`)
	f(plain, then(asked, write(pgError("57P03", "the database system is starting up"))), Down, `the server takes no connections now: "the database system is starting up" (57P03)`)
	f(plain, then(asked, write(pgError("3D000", `database "x" does not exist`))), Down, `the database is missing: "database \"x\" does not exist" (3D000)`)
	f(plain, then(asked, write(pgError("XX000", "\x1b[2J"))), Down, `the server says "\x1b[2J" (XX000)`)
	f(plain, stall, Down, "timed out while signing in")
	f(plain, then(asked, write("R\x00\x00\x10\x00"), drips("\x00")), Down, "timed out while signing in")
	f(plain, asked, Down, "connection closed while signing in")
	f(plain, then(asked, reset), Down, "connection reset while signing in")
	f(plain, then(asked, write(signedIn), asked), Down, "connection closed in the query")
	f(plain, then(asked, write(signedIn), stall), Down, "timed out in the query")
	f(plain, then(asked, write(signedIn), asked, write(pgError("57P01", "terminating connection"))), Down, `the server says "terminating connection" (57P01)`)
	f(plain, then(asked, write(signedIn), asked, write(message('C', "SELECT 0\x00")+message('Z', "I")), stall), Down, "the server did not answer the query with one row of four values")
	f(plain, then(asked, endless(message('S', "a\x00"+strings.Repeat("a", 900)+"\x00"))), Down, "the target sent more than 64 KB")
	f(plain, then(asked, write("N\x7f\xff\xff\xff"), endless("a")), Down, "the target sends a message longer than 64 KB")
	f(plain, then(asked, write(message('R', "\x00\x00\x00\x63")), stall), Down, "unknown authentication type: 99 while signing in")
	f(plain, then(asked, write("HTTP/1.1 400 Bad Request\r\n\r\n")), Down, `not PostgreSQL: the answer begins with "HTTP/1.1 400 Bad Request"`)
	f("require", then(asked, write("N"), stall), Down, `the server offers no TLS; turn it on there, or write sslmode = "disable"`)
	f("require", then(asked, write("220 mail"), stall), Down, `not PostgreSQL: the answer begins with "2"`)
	f("require", then(asked, write("S220 mail\r\n"), stall), Down, `not TLS: the answer begins with "220 m"`)
	f("require", stall, Down, "timed out before the first byte")
	m := quick("postgres")
	m.User = "probe"
	if r := Probe(t.Context(), m, refused(t), Settings{}); r.Reason != "connection refused" {
		t.Errorf("%+v", r)
	}
}

// A server cannot make the prober open another connection, or say more than it was asked for.
func TestPostgresEnvironmentIsNotMeant(t *testing.T) {
	for name, value := range map[string]string{"PGHOST": "10.0.0.1", "PGPORT": "1", "PGUSER": "root", "PGPASSWORD": "secret", "PGOPTIONS": "-c x=y", "PGTARGETSESSIONATTRS": "read-write", "PGCONNECT_TIMEOUT": "1", "PGSSLMODE": "verify-full", "PGAPPNAME": "x"} {
		t.Setenv(name, value)
	}
	got := make(chan string, 1)
	m := quick("postgres")
	m.User, m.SSLMode = "probe", "disable"
	addr := responder(t, func(c net.Conn) {
		buf := make([]byte, 512)
		n, _ := c.Read(buf)
		got <- string(buf[:n])
	})
	Probe(t.Context(), m, addr, Settings{})
	if g := <-got; !strings.Contains(g, "user\x00probe\x00") || !strings.Contains(g, "database\x00postgres\x00") || strings.Contains(g, "root") || strings.Contains(g, "options") {
		t.Errorf("the first message is %q", g)
	}
}

func TestServerFacts(t *testing.T) {
	primary, readOnly := serverFacts{lag: -1}, serverFacts{readOnly: true, lag: -1}
	replica := func(lag int64, streaming bool) serverFacts {
		return serverFacts{recovery: true, readOnly: true, lag: lag, streaming: streaming}
	}
	f := func(s serverFacts, role string, maxLag int64, state State, reason string) {
		t.Helper()
		got, why := s.judge(role, maxLag)
		if got != state || why != reason {
			t.Errorf("%+v as %s: %s (%s), want %s (%s)", s, role, got, why, state, reason)
		}
	}
	f(primary, "primary", -1, Up, "it is a primary")
	f(primary, "any", -1, Up, "it is a primary")
	f(primary, "replica", -1, Down, "it is a primary, wanted a replica")
	f(readOnly, "primary", -1, Down, "it is a primary, but it is read-only (default_transaction_read_only), wanted a primary that can be written to")
	f(readOnly, "any", -1, Up, "it is a primary, but it is read-only (default_transaction_read_only)")
	f(replica(0, true), "primary", -1, Down, "it is a replica, 0 bytes behind, wanted a primary that can be written to")
	f(replica(100, true), "replica", 100, Up, "it is a replica, 100 bytes behind")
	f(replica(2<<20, true), "replica", 1<<20, Down, "it is a replica, 2048 kB behind, wanted at most 1024 kB")
	f(replica(64<<20, true), "replica", -1, Up, "it is a replica, 64 MB behind")
	f(replica(0, false), "replica", 0, Up, "it is a replica, 0 bytes behind, not connected to a primary")
	f(replica(-1, false), "replica", 100, Down, "it is a replica, its lag is unknown, not connected to a primary, wanted at most 100 bytes")
	f(replica(-1, false), "replica", -1, Up, "it is a replica, its lag is unknown, not connected to a primary")
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"0B": 0, "512kB": 512 << 10, "1MB": 1 << 20, "16 mb": 16 << 20, "2GB": 2 << 30} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "1", "MB", "-1MB", "1.5MB", "1TB", "1BB", "99999999999MB", "1MBMB"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q is %d", s, got)
		}
	}
}
