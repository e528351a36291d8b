package realserver

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const smallZone = `$TTL 300
@ SOA ns1.company.com. h.company.com. 1 3600 600 604800 60
@ NS ns1.company.com.
ns1 A 192.0.2.53
www A 192.0.2.80
`

// dnsServers are all kinds; the test of each takes this list's word for its name.
var dnsServers = map[string]func(testing.TB, DNSOptions) *DNSServer{
	"knotd": Knot, "nsd": NSD, "gdnsd": Gdnsd, "pdns_server": PowerDNS, "named": BIND,
}

func askA(addr string) (*dns.Msg, error) {
	c := dns.Client{Timeout: time.Second}
	m, _, err := c.Exchange(new(dns.Msg).SetQuestion("www.company.com.", dns.TypeA), addr)
	return m, err
}

func TestDNSServersLive(t *testing.T) {
	for name, start := range dnsServers {
		t.Run(name, func(t *testing.T) {
			s := start(t, DNSOptions{Zones: map[string]string{"company.com.": smallZone}})
			want := func(step string, up bool) {
				t.Helper()
				m, err := askA(s.Addr)
				if (err == nil) != up {
					t.Fatalf("%s: error %v, want up = %v\n%s", step, err, up, s.Log())
				}
				if up && (len(m.Answer) != 1 || !m.Authoritative) {
					t.Errorf("%s: got %v", step, m)
				}
			}
			if s.Name != name {
				t.Errorf("the server calls itself %q", s.Name)
			}
			want("start", true)
			s.Stop()
			want("stopped", false)
			s.Start()
			want("started again", true)
			s.Kill()
			want("killed", false)
		})
	}
}

// TestDNSServerTakesAnotherPort: a port that somebody else has is no failure.
func TestDNSServerTakesAnotherPort(t *testing.T) {
	for name, start := range dnsServers {
		t.Run(name, func(t *testing.T) {
			taken, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			first := true
			s := start(t, DNSOptions{ports: func() (int, error) {
				if first {
					first = false
					return taken.Addr().(*net.TCPAddr).Port, nil
				}
				return freePort()
			}})
			if s.Addr == taken.Addr().String() {
				t.Errorf("%s is the taken port", s.Addr)
			}
		})
	}
}
