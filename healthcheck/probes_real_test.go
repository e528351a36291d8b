package healthcheck

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/realserver"
)

// expect probes until the answer is as wanted: a real server takes its time to change. A result
// that takes much longer than its time-out is an error at once.
func expect(t *testing.T, what string, m Monitor, address string, state State, reason string) Result {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r := Probe(t.Context(), m, address, Settings{})
		if r.State == state && strings.HasPrefix(r.Reason, reason) {
			return r
		}
		if r.Total > m.Timeout+3*time.Second {
			t.Errorf("%s: %s took %s", what, r.Reason, r.Total)
		}
		if time.Now().After(end) {
			t.Fatalf("%s: still %s (%s), want %s (%s)", what, r.State, r.Reason, state, reason)
		}
	}
}

// impatient is a monitor that gives up soon: for servers that are known not to answer.
func impatient(m Monitor) Monitor {
	m.Timeout = 300 * time.Millisecond
	return m
}

// life is what every real server can be put through.
type life interface {
	Kill()
	Start()
	Stop()
	Pause()
	Resume()
}

// liveThrough kills, pauses and restarts a server, and sees each by its own reason.
func liveThrough(t *testing.T, s life, m Monitor, address, up, paused string) {
	t.Helper()
	expect(t, "started", m, address, Up, up)
	s.Kill()
	expect(t, "killed", m, address, Down, "connection refused")
	s.Start()
	expect(t, "restarted", m, address, Up, up)
	s.Pause()
	if r := expect(t, "paused", impatient(m), address, Down, paused); !r.TimedOut {
		t.Errorf("paused: %+v", r)
	}
	s.Resume()
	expect(t, "resumed", m, address, Up, up)
	s.Stop()
	expect(t, "stopped", m, address, Down, "connection refused")
	s.Start()
	expect(t, "started again", m, address, Up, up)
}

func TestProbeRealNginx(t *testing.T) {
	t.Parallel()
	s := realserver.Nginx(t, realserver.NginxOptions{Config: `
  location = /busy { return 503 "busy"; }
  location = /moved { return 302 /moved; }
  location = /wrong { return 200 "maintenance"; }
  location = /closed { return 444; }
`})
	const good = `200, the body contains "CB_IS_OKAY"`
	liveThrough(t, s, quick("http"), s.Addr, good, "timed out before the first byte")
	page := func(path string) Monitor {
		m := quick("http")
		m.Send, m.Receive = "GET "+path, "CB_IS_OKAY"
		return m
	}
	expect(t, "503", page("/busy"), s.Addr, Overloaded, "503: ")
	expect(t, "redirect loop", page("/moved"), s.Addr, Down, "status 302, wanted 200")
	expect(t, "wrong body", page("/wrong"), s.Addr, Down, `200 but the body was "maintenance", wanted "CB_IS_OKAY"`)
	expect(t, "closed", page("/closed"), s.Addr, Down, "connection closed before the first byte")

	secure := quick("https")
	expect(t, "unknown authority", secure, s.TLSAddr, Down, "certificate signed by an unknown authority")
	secure.CA = s.CAFile
	expect(t, "https", secure, s.TLSAddr, Up, good)
	cert := quick("tls")
	cert.CA = s.CAFile
	expect(t, "tls", cert, s.TLSAddr, Up, "certificate is valid for 23 hours")
	cert.MinValidity = 336 * time.Hour
	expect(t, "tls, too short", cert, s.TLSAddr, Down, "certificate expires in 23 hours")
	cert.MinValidity, cert.ServerName = 0, "cb.company.com"
	expect(t, "tls, other name", cert, s.TLSAddr, Down, `certificate is not for "cb.company.com" but for `)
	expect(t, "tls where there is none", quick("tls"), s.Addr, Down, "not TLS: the answer begins with ")
	expect(t, "tcp", quick("tcp"), s.Addr, Up, "connected")
}

func TestProbeRealHAProxy(t *testing.T) {
	t.Parallel()
	behind := realserver.Nginx(t, realserver.NginxOptions{})
	s := realserver.HAProxy(t, realserver.HAProxyOptions{Backends: []realserver.HAProxyBackend{{Addr: behind.Addr}}})
	const good = `200, the body contains "CB_IS_OKAY"`
	liveThrough(t, s, quick("http"), s.Addr, good, "timed out before the first byte")
	secure := quick("https")
	secure.CA = s.CAFile
	liveThrough(t, s, secure, s.TLSAddr, good, "timed out in the TLS handshake")
	behind.Kill()
	expect(t, "nobody behind", quick("http"), s.Addr, Overloaded, "503: ")
	behind.Start()
	expect(t, "somebody behind again", quick("http"), s.Addr, Up, good)
}

// The words of the agent mean to us what they mean to HAProxy.
func TestAgentMeansWhatHAProxyMeans(t *testing.T) {
	t.Parallel()
	word := make(chan string, 1)
	agent := responder(t, func(c net.Conn) {
		said := <-word
		word <- said
		_, _ = c.Write([]byte(said + "\n"))
		stall(c)
	})
	word <- "up"
	behind := realserver.HAProxy(t, realserver.HAProxyOptions{})
	s := realserver.HAProxy(t, realserver.HAProxyOptions{Backends: []realserver.HAProxyBackend{{Addr: behind.Addr, Agent: agent}}})
	f := func(said, status string, weight int, state State) {
		t.Helper()
		<-word
		word <- said
		r := expect(t, said, quick("agent"), agent, state, "the agent says ")
		if r.Load.Weight != 0 && r.Load.Weight != weight {
			t.Errorf("%q asks us for %d %%", said, r.Load.Weight)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			st, w, check := s.BackendState(0)
			if strings.HasPrefix(st, status) && w == weight {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%q: HAProxy is at %s, weight %d (%s), want %s, weight %d", said, st, w, check, status, weight)
			}
		}
	}
	f("up ready 100%", "UP", 100, Up)
	f("75%", "UP", 75, Up)
	f("0%", "UP", 0, Draining) // HAProxy has no word of its own for it: no new sessions, and those that are there go on
	f("ready,up 100%", "UP", 100, Up)
	f("drain", "DRAIN", 100, Draining)
	f("ready 50%", "UP", 50, Up)
	f("maint", "MAINT", 50, Maintenance)
	f("READY\t100%", "UP", 100, Up)
	for _, down := range []string{"down", "fail #disk full", "STOPPED"} {
		f(down, "DOWN", 100, Down)
		f("up", "UP", 100, Up)
	}
}

const directoryLDIF = `dn: ou=US,dc=company,dc=com
objectClass: organizationalUnit
ou: US

dn: uid=probe,ou=US,dc=company,dc=com
objectClass: inetOrgPerson
uid: probe
cn: Probe
sn: Probe
userPassword: probe-secret
`

func testRealSlapd(t *testing.T) {
	t.Parallel()
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: directoryLDIF})
	plain, secure := strings.TrimPrefix(s.URL, "ldap://"), strings.TrimPrefix(s.TLSURL, "ldaps://")
	const root = "bound, and (objectClass=*) found an entry in the root DSE"
	liveThrough(t, s, quick("ldap"), plain, root, "timed out in the bind")

	m := quick("ldap")
	m.BindDN, m.BindPassword, m.BaseDN, m.Filter = "uid=probe,ou=US,dc=company,dc=com", secretFile(t, "probe-secret"), "dc=company,dc=com", "(uid=probe)"
	const found = "bound, and (uid=probe) found an entry below dc=company,dc=com"
	r := expect(t, "bind and search", m, plain, Up, found)
	if r.Dial <= 0 || r.TTFB <= 0 || r.TLS != 0 {
		t.Errorf("facts: %+v", r)
	}
	many := m
	many.Filter = "(objectClass=*)"
	expect(t, "more entries than one", many, plain, Up, "bound, and (objectClass=*) found an entry below")
	none := m
	none.Filter = "(uid=nobody)"
	expect(t, "no entry", none, plain, Down, "no entry for (uid=nobody) below dc=company,dc=com")
	none.BaseDN = "dc=elsewhere"
	expect(t, "no such base", none, plain, Down, "search refused: No Such Object (32)")
	wrong := m
	wrong.BindPassword = secretFile(t, "wrong")
	expect(t, "wrong password", wrong, plain, Down, "bind refused: Invalid Credentials (49)")

	for kind, change := range map[string]func(*Monitor){"ldaps": func(m *Monitor) { m.TLS = true }, "StartTLS": func(m *Monitor) { m.StartTLS = true }} {
		m, address := m, plain
		if change(&m); m.TLS {
			address = secure
		}
		expect(t, kind+", unknown authority", m, address, Down, "certificate signed by an unknown authority")
		m.CA = s.CAFile
		if r := expect(t, kind, m, address, Up, found); r.TLS <= 0 || r.CertExpiry.IsZero() {
			t.Errorf("%s: %+v", kind, r)
		}
		m.ServerName = "ldap.company.com"
		if r := expect(t, kind+", other name", m, address, Down, `certificate is not for "ldap.company.com" but for `); r.CertExpiry.IsZero() {
			t.Errorf("%s: %+v", kind, r)
		}
		m.CA, m.ServerName, m.NoVerify = "", "", true
		expect(t, kind+", unverified", m, address, Up, found)
	}
}

// secretFile writes a password to a file and gives the reference to it.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}
