package healthcheck

import (
	"net"
	"strings"
	"testing"
	"time"
)

// An LDAPMessage with a BindResponse (RFC 4511 4.2.2): message 1, a result code, two empty or
// short strings.
func bindResponse(code byte, diagnostic string) string {
	result := "\x0a\x01" + string(code) + "\x04\x00\x04" + string(byte(len(diagnostic))) + diagnostic
	op := "\x61" + string(byte(len(result))) + result
	return "\x30" + string(byte(len(op)+3)) + "\x02\x01\x01" + op
}

// asked reads what the prober says first.
func asked(c net.Conn) { _, _ = c.Read(make([]byte, 512)) }

func TestLDAPRefuses(t *testing.T) {
	f := func(change func(*Monitor), talk func(net.Conn), state State, reason string) {
		t.Helper()
		m := quick("ldap")
		if change != nil {
			change(&m)
		}
		timesOut := strings.HasPrefix(reason, "timed out")
		if timesOut {
			m.Timeout = 200 * time.Millisecond
		}
		r := Probe(t.Context(), m, responder(t, talk), Settings{})
		if r.State != state || r.Reason != reason || r.TimedOut != timesOut || len(r.FirstBytes) > firstBytes {
			t.Errorf("got %s (%s), want %s (%s): %+v", r.State, r.Reason, state, reason, r)
		}
	}
	start := func(m *Monitor) { m.StartTLS, m.NoVerify = true, true }
	secure := func(m *Monitor) { m.TLS, m.NoVerify = true, true }
	busy, bad := bindResponse(51, "too much work"), bindResponse(49, "80090308: LdapErr: data 52e")

	f(nil, then(asked, write(busy), stall), Overloaded, `the server says that it is busy: Busy (51): "too much work"`)
	f(nil, then(asked, write(bad), stall), Down, `bind refused: Invalid Credentials (49): "80090308: LdapErr: data 52e"`)
	f(nil, then(asked, write(bindResponse(52, "")), stall), Down, "bind refused: Unavailable (52)")
	f(nil, then(asked, write(bindResponse(0, "")), asked, write(bindResponse(0, "")), stall), Down, "timed out in the search")
	f(nil, then(asked, write(bindResponse(0, "")), asked), Down, "connection closed in the search")
	f(nil, asked, Down, "connection closed in the bind")
	f(nil, then(asked, reset), Down, "connection reset in the bind")
	f(nil, stall, Down, "timed out in the bind")
	f(nil, drips("\x30"), Down, "timed out in the bind")
	f(nil, then(asked, write("220 mail.company.com ready\r\n")), Down, `not LDAP: the answer begins with "220 mail.company.com ready"`)
	f(nil, endless("\x30\x84\x7f\xff\xff\xff"+strings.Repeat("\x04\x02ab", 100)), Down, "the target sent more than 64 KB")
	f(nil, endless("\x30\x03\x02\x01\x09"), Down, "the target sent more than 64 KB") // messages that nobody asked for
	f(start, then(asked, write(strings.Replace(bindResponse(1, "no TLS"), "\x61", "\x78", 1)), stall), Down, `StartTLS refused: Operations Error (1): "no TLS"`)
	f(start, stall, Down, "timed out in StartTLS")
	f(start, asked, Down, "connection closed in StartTLS")
	f(start, then(asked, write(strings.Replace(bindResponse(0, ""), "\x61", "\x78", 1)), stall), Down, "timed out in StartTLS")
	f(secure, then(asked, write("\x30\x03\x02\x01\x01"), stall), Down, `not TLS: the answer begins with "0\x03\x02\x01\x01"`)
	if r := Probe(t.Context(), quick("ldap"), refused(t), Settings{}); r.Reason != "connection refused" {
		t.Errorf("%+v", r)
	}
}
