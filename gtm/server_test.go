package gtm

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sync/errgroup"

	"switchpoint/gtm/steer"
)

// startServer runs a server on 127.0.0.1 until the test ends.
func startServer(t testing.TB, o Options, table *Table) (*Server, string) {
	t.Helper()
	if o.Listen == nil {
		o.Listen = []string{"127.0.0.1:0"}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if table != nil {
		s.SetTable(table)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, s.Addr()[0].String()
}

func demoTable(t testing.TB) *Table {
	t.Helper()
	cfg := goodConfig()
	cfg.Names[0].SRV = append(cfg.Names[0].SRV, Service{Name: "_connection_broker.company.com", Target: steer.TargetName})
	table, err := Compile(cfg, anyRef)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// ask exchanges one question over network.
func ask(t testing.TB, network, addr, name string, typ uint16) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 5 * time.Second}
	m, _, err := c.Exchange(new(dns.Msg).SetQuestion(name, typ).SetEdns0(1232, false), addr)
	if err != nil {
		t.Fatalf("%s %s over %s: %v", name, dns.TypeToString[typ], network, err)
	}
	return m
}

func TestServerUDPAndTCP(t *testing.T) {
	s, addr := startServer(t, Options{}, nil)
	for _, network := range []string{"udp", "tcp"} {
		if m := ask(t, network, addr, "cb.company.com.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s before SetTable: %s", network, dns.RcodeToString[m.Rcode])
		}
	}
	s.SetTable(demoTable(t))
	for _, network := range []string{"udp", "tcp"} {
		m := ask(t, network, addr, "cB.company.com.", dns.TypeA)
		if len(m.Answer) != 1 || m.Answer[0].String() != "cB.company.com.\t5\tIN\tA\t10.1.0.1" {
			t.Errorf("%s: %v", network, m)
		}
		m = ask(t, network, addr, "_connection_broker._tcp.company.com.", dns.TypeSRV)
		if len(m.Answer) != 2 || len(m.Extra) != 3 { // two addresses and OPT
			t.Errorf("%s: %v", network, m)
		}
	}
}

func TestServerIPv6(t *testing.T) {
	_, addr := startServer(t, Options{Listen: []string{"[::1]:0"}}, demoTable(t))
	for _, network := range []string{"udp", "tcp"} {
		if m := ask(t, network, addr, "cb.company.com.", dns.TypeA); len(m.Answer) != 1 {
			t.Errorf("%s: %v", network, m)
		}
	}
}

// TestDig asks with the tool that every admin has.
func TestDig(t *testing.T) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		t.Fatalf("dig is needed (Debian package bind9-dnsutils): %v", err)
	}
	_, addr := startServer(t, Options{}, demoTable(t))
	port := netip.MustParseAddrPort(addr).Port()
	f := func(want []string, args ...string) {
		t.Helper()
		args = append([]string{"@127.0.0.1", "-p", fmt.Sprint(port), "+tries=1", "+time=5"}, args...)
		out, err := exec.CommandContext(t.Context(), dig, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("dig %v: %v\n%s", args, err, out)
		}
		text := strings.Join(strings.Fields(string(out)), " ")
		for _, w := range append(want, "flags: qr aa rd;", "EDNS: version: 0, flags:; udp: 1232") {
			if !strings.Contains(text, w) {
				t.Errorf("dig %v: no %q in\n%s", args, w, out)
			}
		}
		if strings.Contains(text, "WARNING: Message") || strings.Contains(text, "malformed") {
			t.Errorf("dig %v warns:\n%s", args, out)
		}
	}
	for _, way := range []string{"+notcp", "+tcp"} {
		f([]string{"status: NOERROR", "cb.company.com. 5 IN A 10.1.0.1"}, way, "cb.company.com", "A")
		f([]string{"status: NOERROR", "ANSWER: 2", "ADDITIONAL: 3",
			"_connection_broker._tcp.company.com. 5 IN SRV 0 1 443 lb.us.company.com.",
			"_connection_broker._tcp.company.com. 5 IN SRV 10 1 443 lb.uk.company.com.",
			"lb.us.company.com. 5 IN A 10.1.0.1"}, way, "_connection_broker._tcp.company.com", "SRV")
		f([]string{"_connection_broker.company.com. 5 IN SRV 0 1 443 cb.company.com.",
			"cb.company.com. 5 IN A 10.1.0.1"}, way, "_connection_broker.company.com", "SRV")
		f([]string{"status: NXDOMAIN", "company.com. 60 IN SOA"}, way, "gone.company.com", "A")
		f([]string{"HINFO \"RFC8482\" \"\""}, way, "cb.company.com", "ANY")
	}
}

// dial opens a TCP connection that the test closes.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantClosed fails unless the server has closed the connection, or does so within its deadline.
func wantClosed(t *testing.T, what string, c net.Conn) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	if ne, ok := err.(net.Error); err == nil || n > 0 || ok && ne.Timeout() {
		t.Errorf("%s: still open (%v)", what, err)
	}
}

// TestTCPLimits: above the limit of one client a new connection is closed at once; the others
// go on, and a closed one makes room.
func TestTCPLimits(t *testing.T) {
	s, addr := startServer(t, Options{}, limitedTable(t, TCP{PerClient: 3}))
	answered := func(c net.Conn) error {
		conn := &dns.Conn{Conn: c}
		if err := conn.WriteMsg(new(dns.Msg).SetQuestion("cb.company.com.", dns.TypeA)); err != nil {
			return err
		}
		_, err := conn.ReadMsg()
		return err
	}
	kept := []net.Conn{dial(t, addr), dial(t, addr), dial(t, addr)}
	for _, c := range kept { // answered, so admitted
		if err := answered(c); err != nil {
			t.Fatal(err)
		}
	}
	wantClosed(t, "the connection above the limit", dial(t, addr))
	if got := testutil.ToFloat64(s.metrics.rejected); got != 1 {
		t.Errorf("%v connections counted as rejected, want 1", got)
	}
	if err := answered(kept[0]); err != nil {
		t.Errorf("an admitted connection: %v", err)
	}
	kept[1].Close()
	for deadline := time.Now().Add(5 * time.Second); answered(dial(t, addr)) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("a closed connection made no room")
		}
	}
}

// TestJunk: after junk of every length, over both transports, the server answers as before.
func TestJunk(t *testing.T) {
	_, addr := startServer(t, Options{}, limitedTable(t, TCP{Idle: 200 * time.Millisecond}))
	udp, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for n := range 200 {
		junk := make([]byte, n*7)
		for i := range junk {
			junk[i] = byte(i * n)
		}
		if _, err := udp.Write(junk); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, addr)
	if _, err := c.Write([]byte(strings.Repeat("GET / HTTP/1.1\r\n", 5000))); err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
	}
	for _, network := range []string{"udp", "tcp"} {
		if m := ask(t, network, addr, "cb.company.com.", dns.TypeA); len(m.Answer) != 1 {
			t.Errorf("%s: %v", network, m)
		}
	}
}

// TestReloadUnderQueries swaps tables while clients ask: every answer is whole.
func TestReloadUnderQueries(t *testing.T) {
	s, addr := startServer(t, Options{}, demoTable(t))
	var g errgroup.Group
	for _, network := range []string{"udp", "tcp"} {
		g.Go(func() error {
			c := dns.Client{Net: network, Timeout: 5 * time.Second}
			for range 100 {
				m, _, err := c.Exchange(new(dns.Msg).SetQuestion("_connection_broker._tcp.company.com.", dns.TypeSRV), addr)
				if err != nil {
					return err
				}
				if len(m.Answer) != 2 {
					return fmt.Errorf("answer over %s: %v", network, m)
				}
			}
			return nil
		})
	}
	for range 20 {
		s.SetTable(demoTable(t))
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	f := func(listen string, want ...string) {
		t.Helper()
		_, err := New(Options{Listen: []string{"127.0.0.1:0", listen}})
		for _, w := range append(want, listen) {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("listen %s: got %v, want %q", listen, err, w)
			}
		}
	}
	f(busy.Addr().String(), "address already in use", "stop it, or change [gtm] listen")
	f("192.0.2.1:0", "does not have the address")
	f("0.0.0.0:0", "list each address")
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s, addr := startServer(t, Options{Metrics: reg}, demoTable(t))
	ask(t, "udp", addr, "cb.company.com.", dns.TypeA)
	ask(t, "tcp", addr, "cb.company.com.", dns.TypeA)
	ask(t, "udp", addr, "random1.company.com.", dns.TypeA)
	ask(t, "udp", addr, "random2.company.com.", dns.TypeA)
	ask(t, "udp", addr, "www.example.org.", dns.TypeA)
	want := `
# HELP switchpoint_gtm_queries_total DNS queries answered, by transport, steered name or zone, datacenter, policy (the method, or while all is down the all-down policy) and response code.
# TYPE switchpoint_gtm_queries_total counter
switchpoint_gtm_queries_total{datacenter="",name="",policy="",rcode="REFUSED",transport="udp"} 1
switchpoint_gtm_queries_total{datacenter="",name="company.com.",policy="",rcode="NXDOMAIN",transport="udp"} 2
switchpoint_gtm_queries_total{datacenter="us",name="cb.company.com.",policy="round-robin",rcode="NOERROR",transport="tcp"} 1
switchpoint_gtm_queries_total{datacenter="us",name="cb.company.com.",policy="round-robin",rcode="NOERROR",transport="udp"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "switchpoint_gtm_queries_total"); err != nil {
		t.Error(err)
	}
	s.metrics.ioErrors.WithLabelValues("udp_read")
	s.metrics.limited.WithLabelValues(limitedTC)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	if _, err := New(Options{Listen: []string{"127.0.0.1:0"}, Metrics: reg}); err == nil {
		t.Error("metrics were registered twice without an error")
	}
}

func TestAddrHasOnePortForBoth(t *testing.T) {
	s, _ := startServer(t, Options{Listen: []string{"127.0.0.1:0", "127.0.0.2:0"}}, nil)
	var tcp []netip.AddrPort
	for _, l := range s.tcp {
		tcp = append(tcp, l.Addr().(*net.TCPAddr).AddrPort())
	}
	if got := s.Addr(); len(got) != 2 || !slices.Equal(got, tcp) {
		t.Errorf("UDP %v, TCP %v", got, tcp)
	}
}

// limitedTable is demoTable with other limits of connections.
func limitedTable(t testing.TB, limits TCP) *Table {
	t.Helper()
	cfg := goodConfig()
	cfg.TCP = limits
	table, err := Compile(cfg, anyRef)
	if err != nil {
		t.Fatal(err)
	}
	return table
}
