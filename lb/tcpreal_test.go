package lb

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

const tcpPeople = `dn: uid=ann,dc=company,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann Lee
sn: Lee
userPassword: ann-secret
`

// TestTCPLDAP: a real directory behind it, in the clear, with StartTLS, with LDAPS passed through,
// with TLS ended here, and with TLS begun here.
func TestTCPLDAP(t *testing.T) {
	covers.Req(t, "LB10")
	slapd := realserver.Slapd(t, realserver.SlapdOptions{LDIF: tcpPeople})
	pem, err := os.ReadFile(slapd.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	ca := newAuthority(t)
	cert, key := ca.issue(t, "ldap", 41, "127.0.0.1")
	plain, secure := strings.TrimPrefix(slapd.URL, "ldap://"), strings.TrimPrefix(slapd.TLSURL, "ldaps://")
	tests := []struct {
		name, member, url string
		edit              func(*Config)
		trust             *x509.CertPool
		startTLS          bool
	}{
		{"plain", plain, "ldap://", nil, nil, false},
		{"StartTLS", plain, "ldap://", nil, roots, true},
		{"LDAPS passed through", secure, "ldaps://", nil, roots, false},
		{"TLS ends here", plain, "ldaps://", func(c *Config) { c.Listeners[0].Cert, c.Listeners[0].Key = cert, key }, ca.pool(), false},
		{"TLS begins here", secure, "ldap://", func(c *Config) { c.Pools[0].TLS, c.Pools[0].CA = true, slapd.CAFile }, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tcpConfig(Member{Name: "ldap", Address: tt.member})
			if tt.edit != nil {
				tt.edit(&cfg)
			}
			r := start(t, cfg)
			trusted := &tls.Config{RootCAs: tt.trust, ServerName: "127.0.0.1"}
			conn, err := ldap.DialURL(tt.url+r.addr, ldap.DialWithTLSConfig(trusted), ldap.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetTimeout(10 * time.Second)
			if tt.startTLS {
				if err := conn.StartTLS(trusted); err != nil {
					t.Fatal(err)
				}
			}
			if err := conn.Bind("uid=ann,dc=company,dc=com", "ann-secret"); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				found, err := conn.Search(ldap.NewSearchRequest("dc=company,dc=com", ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
					0, 0, false, "(uid=ann)", []string{"cn"}, nil))
				if err != nil || len(found.Entries) != 1 || found.Entries[0].GetAttributeValue("cn") != "Ann Lee" {
					t.Fatalf("found %+v, %v", found, err)
				}
			}
		})
	}
}

// TestTCPProxyOut: HAProxy and nginx read in the PROXY protocol's header who the client is.
func TestTCPProxyOut(t *testing.T) {
	covers.Req(t, "LB10")
	haproxy := realserver.HAProxy(t, realserver.HAProxyOptions{
		Bind:     "accept-proxy",
		Frontend: `http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst_port]"`,
	})
	port := strings.TrimPrefix(deadAddress(t), "127.0.0.1:")
	realserver.Nginx(t, realserver.NginxOptions{
		Config: "listen 127.0.0.1:" + port + ` proxy_protocol; location = /who { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port"; }`,
	})
	for name, member := range map[string]string{"HAProxy": haproxy.Addr, "nginx": "127.0.0.1:" + port} {
		for _, version := range []string{"v1", "v2"} {
			t.Run(name+" "+version, func(t *testing.T) {
				cfg := tcpConfig(Member{Name: "m", Address: member})
				cfg.Pools[0].SendProxy = version
				r := start(t, cfg)
				c := dialFrom(t, "127.0.7.7", r.addr)
				out := rawOn(t, c, "GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				want := fmt.Sprintf("\r\n\r\n127.0.7.7 %d %d", c.LocalAddr().(*net.TCPAddr).Port, netip.MustParseAddrPort(r.addr).Port())
				if !strings.HasSuffix(out, want) {
					t.Errorf("got %q, want %q at its end", out, want)
				}
			})
		}
	}
}

// TestTCPProxyIn: the header names the client, what came behind it in the same packet is carried
// on, and strangers may not send one.
func TestTCPProxyIn(t *testing.T) {
	covers.Req(t, "LB10")
	ca := newAuthority(t)
	cert, key := ca.issue(t, "front", 42, "127.0.0.1")
	a, b := startService(t, greet("a")), startService(t, greet("b"))
	for _, mode := range []string{"plain", "TLS ends here", "routed"} {
		t.Run(mode, func(t *testing.T) {
			cfg := tcpConfig(services(a, b)...)
			cfg.Pools[0].Persistence = "source-address"
			l := &cfg.Listeners[0]
			l.TrustedProxies, l.ProxyProtocol = []string{"127.0.0.1"}, "any"
			say1 := "early\n"
			switch mode {
			case "TLS ends here":
				l.Cert, l.Key = cert, key
			case "routed":
				cfg.Pools = append(cfg.Pools, Pool{Name: "x", Members: []Member{{Address: deadAddress(t)}}})
				l.Routes = []Route{{Host: "rdp.company.com", Pool: "x"}}
			}
			r := start(t, cfg)
			first := make(map[string]string)
			for i := range 8 {
				source := fmt.Sprintf("192.0.2.%d", i%2)
				head := fmt.Sprintf("PROXY TCP4 %s 10.0.0.1 1234 443\r\n", source)
				raw := dial(t, r.addr)
				var c net.Conn = raw
				if l.Cert != "" {
					c = tls.Client(&prefixed{Conn: raw, first: []byte(head)}, &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1"})
					say(t, c, say1)
				} else {
					say(t, c, head+say1)
				}
				name := line(t, c)
				if got := line(t, c) + "\n"; got != say1 {
					t.Errorf("got %q", got)
				}
				if was := first[source]; was != "" && was != name {
					t.Errorf("%s had %s and got %s", source, was, name)
				}
				first[source] = name
			}
			if first["192.0.2.0"] == first["192.0.2.1"] {
				t.Errorf("persistence does not go by the header: %v", first)
			}
			stranger := dialFrom(t, "127.0.0.9", r.addr)
			_, _ = io.WriteString(stranger, "PROXY TCP4 192.0.2.1 10.0.0.1 1234 443\r\nx\n")
			if out, err := io.ReadAll(stranger); len(out) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a stranger got %q, %v", out, err)
			}
		})
	}
}

// TestTCPEndsTLS: with a certificate the TLS ends here, and members get what was inside.
func TestTCPEndsTLS(t *testing.T) {
	covers.Req(t, "LB10")
	ca := newAuthority(t)
	cert, key := ca.issue(t, "front", 51, "rdp.company.com", "mail.apps.company.com", "other.company.com")
	one, two := startService(t, greet("one")), startService(t, greet("two"))
	count := startService(t, func(c *net.TCPConn) {
		n, err := io.Copy(io.Discard, c)
		_, _ = fmt.Fprintf(c, "%d %v\n", n, err)
	})
	cfg := sniConfig(one.addr, two.addr, count.addr)
	cfg.Listeners[0].Cert, cfg.Listeners[0].Key = cert, key
	r := start(t, cfg)
	open := func(name string) *tls.Conn {
		t.Helper()
		c := tls.Client(dial(t, r.addr), &tls.Config{ServerName: name, RootCAs: ca.pool(), NextProtos: []string{"anything"}})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, want := range map[string]string{"rdp.company.com": "one", "mail.apps.company.com": "two"} {
		c := open(name)
		if got := line(t, c); got != want {
			t.Errorf("%s got %q", name, got)
		}
		say(t, c, "hello\n")
		if got := line(t, c); got != "hello" {
			t.Errorf("%s got %q", name, got)
		}
	}
	const size = 8 << 20
	c := open("other.company.com")
	if _, err := io.Copy(c, noise(size)); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(c); err != nil || string(out) != fmt.Sprintf("%d <nil>\n", size) {
		t.Errorf("got %q, %v", out, err)
	}
	r.ended(t, "rest", clientEnd)
	// Cut off inside a record, a client's stream is not whole: its member must not take it so.
	cut := make(chan error, 1)
	careful := startService(t, func(c *net.TCPConn) {
		_, err := io.Copy(io.Discard, c)
		cut <- err
	})
	next := cfg
	next.Pools = append([]Pool{{Name: "brokers", Persistence: "none", Members: []Member{{Name: "careful", Address: careful.addr}}}}, cfg.Pools[1:]...)
	r.reload(next)
	c = open("other.company.com")
	say(t, c, "half of")
	raw := c.NetConn().(*net.TCPConn)
	say(t, raw, "\x17\x03\x03\x00\x50 and no more")
	if err := raw.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-cut; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the member sees %v", err)
	}
	r.ended(t, "careful", clientBroke)
}
