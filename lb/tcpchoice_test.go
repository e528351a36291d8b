package lb

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// greeted connects and gives the name of the member that answered.
func greeted(t testing.TB, addr string) (*net.TCPConn, string) {
	t.Helper()
	c := dial(t, addr)
	return c, line(t, c)
}

// cutOff connects and expects a reset, which may come before the connect has returned.
func cutOff(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("with nobody to serve it the client sees %v", err)
	}
}

// TestTCPRefused: a member that refuses costs nobody a connection; it is reported and avoided.
func TestTCPRefused(t *testing.T) {
	covers.Req(t, "LB10")
	a := startService(t, greet("a"))
	who := []Member{{Name: "a", Address: a.addr}, {Name: "b", Address: deadAddress(t)}}
	cfg := tcpConfig(who...)
	cfg.Pools[0].Monitor = "m"
	told := &reports{}
	r := startWith(t, cfg, Options{Listeners: cfg.Listeners, Report: told.take}, func(k healthcheck.Key) healthcheck.Ref {
		return healthcheck.Ref(slices.IndexFunc(who, func(m Member) bool { return m.Address == k.Address }))
	})
	for range 6 {
		if _, name := greeted(t, r.addr); name != "a" {
			t.Errorf("got %q", name)
		}
	}
	all := told.all()
	refused := slices.Index(all, report(1, healthcheck.Refused, 0))
	if n := len(all); refused < 0 || n != 7 {
		t.Errorf("reported %v", all)
	}
	all = slices.Delete(all, refused, refused+1)
	if slices.ContainsFunc(all, func(s string) bool { return s != report(0, healthcheck.Answered, 0) }) {
		t.Errorf("reported %v beside the refusal", all)
	}
	e := r.Explain("front", loopback)
	if m := e.Members[1]; !m.Shunned || m.Failing == 0 || e.Member != "a" {
		t.Errorf("explained %+v", e)
	}
	if m := e.Members[0]; m.InFlight != 6 || m.TTFB == 0 {
		t.Errorf("open connections and connect time: %+v", m)
	}
	if n := testutil.ToFloat64(r.series("a").open); n != 6 {
		t.Errorf("%v open connections", n)
	}
	if n := testutil.ToFloat64(r.metrics.retries.WithLabelValues("brokers")); n != 1 {
		t.Errorf("%v retries", n)
	}
}

// TestTCPNobody: where nobody can be reached the client is cut off.
func TestTCPNobody(t *testing.T) {
	r := start(t, tcpConfig(Member{Name: "a", Address: deadAddress(t)}))
	cutOff(t, r.addr)
	r.ended(t, "none", noMember)
}

// TestTCPFewestConnections: the method counts open connections as requests in flight.
func TestTCPFewestConnections(t *testing.T) {
	covers.Req(t, "LB10")
	cfg := tcpConfig(services(startService(t, greet("a")), startService(t, greet("b")), startService(t, greet("c")))...)
	cfg.Pools[0].Method = "least-response-time"
	r := start(t, cfg)
	got := make(map[string]int)
	for range 30 {
		_, name := greeted(t, r.addr)
		got[name]++
	}
	for _, name := range []string{"a", "b", "c"} {
		// A member that was slow to connect on a busy machine rightly gets fewer. Without the open
		// connections in the balance the quickest one would get nearly all.
		if n := got[name]; n < 1 || n > 24 {
			t.Errorf("%d connections to %s: %v", n, name, got)
		}
	}
}

// TestTCPPersistence: an address goes back to its member while that serves.
func TestTCPPersistence(t *testing.T) {
	covers.Req(t, "LB10")
	a, b := startService(t, greet("a")), startService(t, greet("b"))
	cfg := tcpConfig(services(a, b)...)
	cfg.Pools[0].Persistence = "source-address"
	r := start(t, cfg)
	first := make(map[string]string)
	for round := range 4 {
		for i := range 6 {
			local := fmt.Sprintf("127.0.8.%d", i+1)
			c := dialFrom(t, local, r.addr)
			name := line(t, c)
			if was := first[local]; round > 0 && was != name {
				t.Errorf("%s had %s and got %s", local, was, name)
			}
			first[local] = name
			_ = c.Close()
		}
	}
	if first["127.0.8.1"] == first["127.0.8.2"] {
		t.Errorf("all at one member: %v", first)
	}
	a.kill()
	for local := range first {
		if name := line(t, dialFrom(t, local, r.addr)); name != "b" {
			t.Errorf("%s got %s", local, name)
		}
	}
}

// TestTCPHealth: a real monitor of kind tcp takes a dead member out, a draining one keeps what it
// has, and on_down = "close" ends the connections to one that went down.
func TestTCPHealth(t *testing.T) {
	covers.Req(t, "LB10")
	a, b := startService(t, greet("a")), startService(t, greet("b"))
	cfg := tcpConfig(services(a, b)...)
	cfg.Pools[0].Monitor, cfg.Pools[0].OnDown = "port", onDownClose
	engine := startEngine(t, cfg, healthcheck.Monitor{Kind: "tcp"})
	r := startWith(t, cfg, Options{Listeners: cfg.Listeners, Snapshot: engine.Snapshot}, engine.Ref)
	both := make(map[string]net.Conn)
	for range 2 {
		c, name := greeted(t, r.addr)
		both[name] = c
	}
	if len(both) != 2 {
		t.Fatalf("round robin gave %v", both)
	}
	// The port of b is closed and its connection left open: only the monitor can tell.
	_ = b.ln.Close()
	eventually(t, "b is down", func() bool { return r.Explain("front", loopback).Members[1].State == "down" })
	for range 4 {
		if _, name := greeted(t, r.addr); name != "a" {
			t.Errorf("got %q", name)
		}
	}
	if _, err := both["b"].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection to the member that is down: %v", err)
	}
	r.ended(t, "b", memberDown)
	say(t, both["a"], "still\n")
	if got := line(t, both["a"]); got != "still" {
		t.Errorf("got %q", got)
	}
	if n := testutil.ToFloat64(r.metrics.retries.WithLabelValues("brokers")); n != 0 {
		t.Errorf("%v connects to a member that is down", n)
	}
	if err := engine.Force(healthcheck.Override{Pattern: a.addr, State: healthcheck.Draining, Owner: "test", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a drains", func() bool { return r.Explain("front", loopback).Member == "" })
	say(t, both["a"], "still\n")
	if got := line(t, both["a"]); got != "still" {
		t.Errorf("got %q", got)
	}
	cutOff(t, r.addr)
}

// TestTCPReload: open connections stay, new ones see the new table, and so does a member that is
// gone from it.
func TestTCPReload(t *testing.T) {
	covers.Req(t, "LB10")
	a, b := startService(t, greet("a")), startService(t, greet("b"))
	cfg := tcpConfig(services(a)...)
	reg := prometheus.NewRegistry()
	r := start(t, cfg, func(o *Options) { o.Metrics = reg })
	old, name := greeted(t, r.addr)
	if name != "a" {
		t.Fatalf("got %q", name)
	}
	next := cfg
	next.Pools = []Pool{cfg.Pools[0]}
	next.Pools[0].Members = []Member{{Name: "b", Address: b.addr}}
	for range 3 {
		r.reload(next)
	}
	if _, name := greeted(t, r.addr); name != "b" {
		t.Errorf("got %q", name)
	}
	say(t, old, "still here\n")
	if got := line(t, old); got != "still here" {
		t.Errorf("got %q", got)
	}
	http := plainConfig(services(a))
	table, err := Compile(http, noRef)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetTable(table); err == nil || !strings.Contains(err.Error(), "restart to change its mode") {
		t.Errorf("a reload to HTTP: %v", err)
	}
	_ = old.Close()
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(families); strings.Contains(text, `value:"a"`) || !strings.Contains(text, "switchpoint_lb_tcp_bytes_total") {
		t.Errorf("series of a member that is gone, or none at all: %s", text)
	}
}

// TestTCPDrain: at the end connections may go on for the drain time, and no longer.
func TestTCPDrain(t *testing.T) {
	covers.Req(t, "LB10")
	s := startService(t, greet("a"))
	r := start(t, tcpConfig(services(s)...), func(o *Options) { o.DrainTimeout = time.Second })
	finishes, _ := greeted(t, r.addr)
	stays, _ := greeted(t, r.addr)
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	eventually(t, "no new connections", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	say(t, finishes, "last words\n")
	if got := line(t, finishes); got != "last words" {
		t.Errorf("got %q", got)
	}
	_ = finishes.CloseWrite()
	if _, err := io.ReadAll(finishes); err != nil {
		t.Errorf("its orderly end: %v", err)
	}
	if _, err := stays.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the one that stays: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d < time.Second || d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	if n := testutil.ToFloat64(r.series("a").ends[drained]); n != 1 {
		t.Errorf("%v connections were cut", n)
	}
}

// TestTCPAccessLog: one line a connection.
func TestTCPAccessLog(t *testing.T) {
	covers.Req(t, "LB10")
	file := filepath.Join(t.TempDir(), "access.log")
	s := startService(t, echo)
	cfg := sniConfig(s.addr, s.addr, s.addr)
	cfg.Listeners[0].AccessLog = file
	r := start(t, cfg)
	hello := string(helloOf(t, "rdp.company.com"))
	c := dial(t, r.addr)
	say(t, c, hello)
	_ = c.CloseWrite()
	if out, err := io.ReadAll(c); err != nil || string(out) != hello {
		t.Errorf("%d bytes came back: %v", len(out), err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"listener":"front"`, `"client":"127.0.0.1"`, `"sni":"rdp.company.com"`, `"pool":"one"`, `"member":"one"`,
		fmt.Sprintf(`"bytes_in":%d,"bytes_out":%d`, len(hello), len(hello)), `"end":"client"`, `"picked":"by the pool's method"`, `"duration_ms":`} {
		if !strings.Contains(string(text), want) || strings.Count(string(text), "\n") != 1 {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
