package healthcheck

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"
)

// hello does the server's part of a handshake and then waits.
func hello(c net.Conn) {
	if s, ok := c.(*tls.Conn); ok {
		_ = s.Handshake()
	}
	stall(c)
}

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	now := time.Now()
	good := ca.server("cb.test", now.Add(-time.Hour), now.Add(10*24*time.Hour+time.Hour))
	gone := ca.server("cb.test", now.Add(-2*time.Hour), now.Add(-time.Hour))
	f := func(cfg *tls.Config, change func(*Monitor), state State, reason string) {
		t.Helper()
		m := quick("tls")
		m.CA = ca.file
		if change != nil {
			change(&m)
		}
		r := Probe(t.Context(), m, respond(t, cfg, hello), Settings{})
		if r.State != state || !strings.HasPrefix(r.Reason, reason) || r.TLS <= 0 || r.CertExpiry.IsZero() || r.TimedOut {
			t.Errorf("got %s (%s), want %s (%s): %+v", r.State, r.Reason, state, reason, r)
		}
	}
	f(good, nil, Up, "certificate is valid for 47 hours, until ") // the authority ends before it
	f(good, func(m *Monitor) { m.MinValidity = 47 * time.Hour }, Up, "certificate is valid for 47 hours")
	f(good, func(m *Monitor) { m.MinValidity = 336 * time.Hour }, Down, "certificate expires in 47 hours, on ")
	f(good, func(m *Monitor) { m.CA, m.NoVerify = "", true }, Up, "certificate is valid for 10 days, until ")
	f(good, func(m *Monitor) { m.CA = other.file }, Down, "certificate signed by an unknown authority")
	f(good, func(m *Monitor) { m.ServerName = "lb.test" }, Down, `certificate is not for "lb.test" but for`)
	f(gone, nil, Down, "certificate expired on ")
	f(gone, func(m *Monitor) { m.CA, m.NoVerify = "", true }, Down, "certificate expired on ")
	f(ca.server("cb.test", now.Add(time.Hour), now.Add(2*time.Hour)), nil, Down, "certificate not valid before ")
}

func TestTLSRefuses(t *testing.T) {
	f := func(talk func(net.Conn), reason string) {
		t.Helper()
		m := quick("tls")
		if strings.HasPrefix(reason, "timed out") {
			m.Timeout = 150 * time.Millisecond
		}
		r := Probe(t.Context(), m, responder(t, talk), Settings{})
		if r.State != Down || r.Reason != reason || r.TimedOut != (m.Timeout < time.Second) {
			t.Errorf("got %s (%s), want (%s)", r.State, r.Reason, reason)
		}
	}
	f(stall, "timed out in the TLS handshake")
	f(drips("\x16"), `not TLS: the answer begins with "\x16\x16\x16\x16\x16"`)
	f(then(write("220 mail\r\n"), stall), `not TLS: the answer begins with "220 m"`)
	f(func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }, "connection closed in the TLS handshake")
	f(func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		reset(c)
	}, "connection reset in the TLS handshake")
	f(endless("\x16\x03\x03\x40\x00"+strings.Repeat("a", 0x4000)), "handshake message of length 6381921 bytes exceeds maximum of 65536 bytes in the TLS handshake")
	r := Probe(t.Context(), quick("tls"), refused(t), Settings{})
	if r.State != Down || r.Reason != "connection refused" {
		t.Errorf("refused: %+v", r)
	}
}

func TestValidity(t *testing.T) {
	day := 24 * time.Hour
	f := func(left, atLeast time.Duration, state State, reason string) {
		t.Helper()
		s, why := validity(moment.Add(left), moment, atLeast)
		if s != state || why != reason {
			t.Errorf("%s (%s), want %s (%s)", s, why, state, reason)
		}
	}
	f(90*day, 14*day, Up, "certificate is valid for 90 days, until 2026-05-30 12:00:00 UTC")
	f(14*day, 14*day, Up, "certificate is valid for 14 days, until 2026-03-15 12:00:00 UTC")
	f(5*day+time.Hour, 14*day, Down, "certificate expires in 5 days, on 2026-03-06 13:00:00 UTC, wanted at least 14 days")
	f(90*time.Second, 0, Up, "certificate is valid for 1m30s, until 2026-03-01 12:01:30 UTC")
	f(-time.Second, 0, Down, "certificate expired on 2026-03-01 11:59:59 UTC")
}

// Of two ways to a root the longer-lived one counts; within a way the first certificate to end.
func TestLastsUntil(t *testing.T) {
	cert := func(hours int) *x509.Certificate {
		return &x509.Certificate{NotAfter: moment.Add(time.Duration(hours) * time.Hour)}
	}
	leaf := cert(50)
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	if got := lastsUntil(state); !got.Equal(leaf.NotAfter) {
		t.Errorf("unverified: %v", got)
	}
	state.VerifiedChains = [][]*x509.Certificate{{leaf, cert(9), cert(900)}, {leaf, cert(40), cert(30)}}
	if got := lastsUntil(state); !got.Equal(moment.Add(30 * time.Hour)) {
		t.Errorf("verified: %v", got)
	}
}
