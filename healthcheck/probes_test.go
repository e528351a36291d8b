package healthcheck

import (
	"net"
	"reflect"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// Every kind asks its question, of a real server where the protocol is more than a few lines, and
// every key of a question does what it says.
func TestEveryKind(t *testing.T) {
	covers.Req(t, "HK1")
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"http", TestHTTPAccepts}, {"http, what is sent", TestHTTPSends}, {"https", TestHTTPS},
		{"receive_disable and reverse", testVerdictKeys}, {"tcp", TestTCP}, {"tls", TestTLS}, {"icmp", TestICMP}, {"dns", TestDNS},
		{"ldap", testRealSlapd}, {"postgres", testRealPostgres}, {"postgres, replica", testRealReplica},
		{"xmlrpc", TestXMLRPC}, {"agent", TestAgent}, {"exec", TestExec}, {"defaults", testDefaultsOfHK1},
	} {
		t.Run(part.name, part.test)
	}
}

func testVerdictKeys(t *testing.T) {
	page := func(body string) func(net.Conn) { return says("HTTP/1.1 200 OK\r\n\r\n" + body) }
	f := func(kind, receive, disable string, reverse bool, talk func(net.Conn), want State) {
		t.Helper()
		m := quick(kind)
		m.Receive, m.ReceiveDisable, m.Reverse = receive, disable, reverse
		if r := Probe(t.Context(), m, responder(t, talk), Settings{}); r.State != want || r.Reason == "" {
			t.Errorf("%s: got %s (%s), want %s", kind, r.State, r.Reason, want)
		}
	}
	f("http", "CB_IS_OKAY", "CB_IS_DRAINING", false, page("CB_IS_OKAY"), Up)
	f("http", "CB_IS_OKAY", "CB_IS_DRAINING", false, page("CB_IS_DRAINING"), Draining)
	f("http", "CB_IS_OKAY", "regex:^CB_.*_OFF$", false, page("CB_IS_OFF"), Draining)
	f("http", "CB_IS_OKAY", "CB_IS_DRAINING", false, page("CB_IS_LOST"), Down)
	f("http", "maintenance", "", true, page("fine"), Up)
	f("http", "maintenance", "", true, page("in maintenance"), Down)
	f("tcp", "220", "421", false, write("220 mail"), Up)
	f("tcp", "220", "421", false, write("421 closing"), Draining)
	f("tcp", "error", "", true, write("fine"), Up)
	f("tcp", "error", "", true, write("an error"), Down)
}

func testDefaultsOfHK1(t *testing.T) {
	m := Monitor{Kind: "https"}.WithDefaults()
	if m.Interval != 5*time.Second || m.Timeout != 2*time.Second || m.Fall != 3 || m.Rise != 2 ||
		m.Send != "GET /index.pl?action=is_alive" || m.Receive != "CB_IS_OKAY" || !reflect.DeepEqual(m.Status, []int{200}) {
		t.Errorf("%+v", m)
	}
	if (Settings{}).WithDefaults().AllowExec {
		t.Error("exec is on by default")
	}
}
