package healthcheck

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHTTPS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	now := time.Now()
	valid := ca.server("cb.test", now.Add(-time.Hour), now.Add(time.Hour))
	talk := says(alive + "\r\nCB_IS_OKAY")
	f := func(cfg *tls.Config, change func(*Monitor), state State, reason string) Result {
		t.Helper()
		m := quick("https")
		m.CA = ca.file
		if change != nil {
			change(&m)
		}
		r := Probe(t.Context(), m, respond(t, cfg, talk), Settings{})
		if r.State != state || !strings.HasPrefix(r.Reason, reason) {
			t.Errorf("got %s (%s), want %s (%s)", r.State, r.Reason, state, reason)
		}
		if r.TLS <= 0 || r.CertExpiry.IsZero() {
			t.Errorf("%s: %+v", reason, r)
		}
		return r
	}
	const good = `200, the body contains "CB_IS_OKAY"`
	r := f(valid, nil, Up, good)
	if d := r.CertExpiry.Sub(now.Add(time.Hour)); d > time.Second || d < -time.Second {
		t.Errorf("expiry %v", r.CertExpiry)
	}
	f(valid, func(m *Monitor) { m.ServerName = "cb.test" }, Up, good)
	f(valid, func(m *Monitor) { m.ServerName = "lb.test" }, Down, `certificate is not for "lb.test" but for ["cb.test" "127.0.0.1"]`)
	f(ca.server("x.test", now.Add(-time.Hour), now.Add(time.Hour)), nil, Down, `certificate is not for "127.0.0.1" but for ["x.test"]`)
	f(valid, func(m *Monitor) { m.CA = other.file }, Down, "certificate signed by an unknown authority")
	f(valid, func(m *Monitor) { m.CA = "" }, Down, "certificate signed by an unknown authority")
	f(valid, func(m *Monitor) { m.CA, m.NoVerify = "", true }, Up, good)
	expired := ca.server("cb.test", now.Add(-2*time.Hour), now.Add(-time.Hour))
	r = f(expired, nil, Down, "certificate expired on "+now.Add(-time.Hour).UTC().Format(time.DateOnly))
	if !r.CertExpiry.Before(now) {
		t.Errorf("expiry of a refused certificate: %v", r.CertExpiry)
	}
	f(ca.server("cb.test", now.Add(time.Hour), now.Add(2*time.Hour)), nil, Down, "certificate not valid before ")
}

func TestHTTPSHandshakeFailures(t *testing.T) {
	f := func(m Monitor, talk func(net.Conn), reason string) {
		t.Helper()
		r := Probe(t.Context(), m, responder(t, talk), Settings{})
		if r.State != Down || r.Reason != reason || r.TimedOut != strings.HasPrefix(reason, "timed out") {
			t.Errorf("got %s (%s), want (%s)", r.State, r.Reason, reason)
		}
	}
	m := quick("https")
	f(m, then(func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, stall), `not TLS: the answer begins with "HTTP/"`)
	f(m, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		reset(c)
	}, "connection reset in the TLS handshake")
	f(m, func(c net.Conn) { // reads the hello, then closes
		_, _ = c.Read(make([]byte, 4096))
	}, "connection closed in the TLS handshake")
	f(m, func(c net.Conn) { // a server that speaks only what we refuse
		_ = tls.Server(c, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10, GetCertificate: nil}).Handshake()
	}, "the target refused the TLS handshake: protocol version not supported")
	m.Timeout = 150 * time.Millisecond
	f(m, stall, "timed out in the TLS handshake")
}

func TestCAFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(file, want string) {
		t.Helper()
		m := quick("https")
		m.CA = file
		_, err := Compile(Config{Monitors: []Monitor{m}})
		if err == nil || !strings.HasPrefix(err.Error(), "monitor[0].ca: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
	f(empty, "holds no certificate; name a file with PEM certificates")
	f(empty+".missing", "cannot read the roots to trust")
}
