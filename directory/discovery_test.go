package directory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// nameServer answers for *.test with what a test says; every A record is 127.0.0.1.
type nameServer struct {
	address string
	mu      sync.Mutex
	srv     map[string][]string // records by name
	down    bool
	asked   int
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{address: conn.LocalAddr().String(), srv: make(map[string][]string)}
	started := make(chan struct{})
	s := &dns.Server{PacketConn: conn, Handler: n, NotifyStartedFunc: func() { close(started) }}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.ActivateAndServe() })
	<-started
	t.Cleanup(func() { _ = s.Shutdown(); wg.Wait() })
	return n
}

func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	name := strings.ToLower(q.Question[0].Name)
	var lines []string
	switch q.Question[0].Qtype {
	case dns.TypeSRV:
		n.asked++
		for _, r := range n.srv[name] {
			lines = append(lines, name+" 60 SRV "+r)
		}
	case dns.TypeA:
		lines = []string{name + " 60 A 127.0.0.1"}
	}
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	if q.Question[0].Qtype == dns.TypeSRV && len(lines) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	if n.down {
		m.Rcode, m.Answer = dns.RcodeServerFailure, nil
	}
	_ = w.WriteMsg(m)
}

func (n *nameServer) set(name string, records ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.srv[name], n.down = records, false
}

func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", n.address)
	}}
}

// again makes the client ask the DNS now.
func (c *Client) again(ctx context.Context) {
	c.discovery.turn <- struct{}{}
	c.discovery.asked = time.Time{}
	<-c.discovery.turn
	c.refresh(ctx)
}

func serverNames(c *Client) []string {
	var out []string
	for _, s := range c.fleet.Load().servers {
		out = append(out, s.name)
	}
	slices.Sort(out)
	return out
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

func TestDiscovery(t *testing.T) {
	covers.Req(t, "LD1")
	n := newNameServer(t)
	first, other := newProxy(t, demoServer(t)), newProxy(t, demoServer(t))
	const name = "_ldap._tcp.corp.test."
	n.set(name, "10 0 "+portOf(first.addr())+" dc1.corp.test.", "20 0 "+portOf(other.addr())+" dc2.corp.test.")
	cfg := demoConfig(t)
	cfg.Servers, cfg.AllowPlain, cfg.Timeout = []string{"ldap+srv://corp.test"}, true, 5*time.Second
	c, err := New(Options{Config: cfg, Resolver: n.resolver()})
	if err != nil {
		t.Fatal(err)
	}
	login := func() error {
		_, err := c.Authenticate(t.Context(), "alice", "alice-demo", nil)
		return err
	}
	if err := c.Health(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Health before the DNS was asked: %v", err)
	}
	if err := login(); err != nil { // without Run: the login asks
		t.Fatal(err)
	}
	if first.accepted.Load() == 0 || other.accepted.Load() != 0 {
		t.Error("the priorities are not kept")
	}
	runUntilEnd(t, c.Run)
	eventually(t, "both are watched", 10*time.Second, func() bool { return other.accepted.Load() > 0 })

	// The DNS fails, or has nothing to say: what is known stays.
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	c.again(t.Context())
	n.set(name)
	c.again(t.Context())
	n.set(name, "0 0 0 .")
	c.again(t.Context())
	if got := serverNames(c); len(got) != 2 {
		t.Fatalf("after failures: %q", got)
	}
	// One goes: the other keeps its connections and serves alone.
	kept := c.fleet.Load().orders[0][1]
	n.set(name, "20 0 "+portOf(other.addr())+" dc2.corp.test.")
	c.again(t.Context())
	if f := c.fleet.Load(); len(f.servers) != 1 || f.servers[0] != kept {
		t.Fatalf("after one went: %q", serverNames(c))
	}
	if err := login(); err != nil {
		t.Error(err)
	}
	// The DNS is not asked with every login.
	n.mu.Lock()
	before := n.asked
	n.mu.Unlock()
	for range 20 {
		if err := login(); err != nil {
			t.Error(err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked != before {
		t.Errorf("%d questions for 20 logins", n.asked-before)
	}
}

// With certificates verified by the name that the DNS gives, a forged answer must not lead to
// another company's server.
func TestDiscoveryOverTLS(t *testing.T) {
	covers.Req(t, "LD1")
	n := newNameServer(t)
	s := realserver.Slapd(t, realserver.SlapdOptions{LDIF: people})
	port := portOf(s.TLSURL)
	n.set("_ldaps._tcp.corp.test.", "0 0 "+port+" dc1.evil.test.", "0 0 "+port+" corp.test.evil.test.", "0 0 "+port+" xcorp.test.")
	cfg := slapdConfig(t, s, "ldaps+srv://corp.test")
	cfg.CA = s.CAFile
	login := func() error {
		c, err := New(Options{Config: cfg, Resolver: n.resolver()})
		if err != nil {
			t.Fatal(err)
		}
		runUntilEnd(t, c.Run)
		_, err = c.Authenticate(t.Context(), "alice", "alice-secret", nil)
		return err
	}
	if err := login(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "no server is known") {
		t.Errorf("servers of another domain: %v", err)
	}
	n.set("_ldaps._tcp.corp.test.", "0 0 "+port+" dc1.corp.test.")
	if err := login(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "dc1.corp.test") {
		t.Errorf("a certificate for another name: %v", err)
	}
	cfg.Verify = "localhost" // which the certificate has
	if err := login(); err != nil {
		t.Errorf("with server_name: %v", err)
	}
}

func TestLookupSRV(t *testing.T) {
	n := newNameServer(t)
	n.set("_ldap._tcp.ad.test.", "0 100 389 dc2.ad.test.", "0 100 389 DC1.ad.test.", "5 0 1389 ad.test.", "0 100 389 dc1.ad.test.")
	for url, want := range map[string]string{
		"ldap+srv://ad.test":  "ldap://dc1.ad.test:389 ldap://dc2.ad.test:389 ldap://ad.test:1389",
		"ldaps+srv://ad.test": "ldaps://dc1.ad.test:636 ldaps://dc2.ad.test:636 ldaps://ad.test:636",
	} {
		name, dns, err := parseSRV(url)
		if err != nil || !dns {
			t.Fatal(err)
		}
		list, _, err := name.lookup(t.Context(), n.resolver(), true)
		var got []string
		for _, e := range list {
			got = append(got, e.url)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v, want %s", url, got, err, want)
		}
	}
	var crowd []string
	for i := range 100 {
		crowd = append(crowd, "0 0 389 dc"+strconv.Itoa(i)+".big.test.")
	}
	n.set("_ldap._tcp.big.test.", crowd[:20]...)
	name, _, _ := parseSRV("ldap+srv://big.test")
	if list, _, err := name.lookup(t.Context(), n.resolver(), true); err == nil && len(list) > maxRecords {
		t.Errorf("%d servers", len(list))
	}
}

func TestParseSRV(t *testing.T) {
	for raw, want := range map[string]string{
		"ldap+srv://corp.test":                                 "corp.test corp.test false",
		"ldaps+srv://CORP.test./":                              "corp.test corp.test true",
		"ldap+srv://Prague._sites.dc._msdcs.corp.example.test": "prague._sites.dc._msdcs.corp.example.test corp.example.test false",
		"ldaps://corp.test":                                    "no",
		"corp.test":                                            "no",
		"ldap+srv://":                                          "bad",
		"ldap+srv://corp.test:389":                             "bad",
		"ldap+srv://u:p@corp.test":                             "bad",
		"ldap+srv://corp..test":                                "bad",
		"ldap+srv://.corp.test":                                "bad",
		"ldap+srv://corp.test/dc=x":                            "bad",
		"ldaps+srv://_sites":                                   "bad",
		"ldap+srv://" + strings.Repeat("a", 300):               "bad",
	} {
		n, dns, err := parseSRV(raw)
		got := fmt.Sprint(n.name, " ", n.domain, " ", n.secure)
		switch {
		case !dns:
			got = "no"
		case err != nil:
			got = "bad"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

// In turn, each login goes to another server; one that is down is left out.
func TestRoundRobin(t *testing.T) {
	covers.Req(t, "LD1")
	var proxies []*proxy
	var addresses []string
	for range 3 {
		p := newProxy(t, demoServer(t))
		proxies, addresses = append(proxies, p), append(addresses, p.addr())
	}
	cfg := demoConfig(t, addresses...)
	cfg.ServerOrder, cfg.Timeout = RoundRobin, 5*time.Second
	c, err := New(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	for range 3 {
		if _, err := c.Authenticate(t.Context(), "alice", "alice-demo", nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range proxies {
		if n := p.accepted.Load(); n != 2 { // one for the search, one for the bind
			t.Errorf("server %d got %d connections for one login of three", i, n)
		}
	}
	_ = proxies[1].listener.Close()
	proxies[1].cut()
	for range 6 {
		if _, err := c.Authenticate(t.Context(), "alice", "alice-demo", nil); err != nil {
			t.Errorf("with one server gone: %v", err)
		}
	}
}
