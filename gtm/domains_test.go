package gtm

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/gtm/place"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// reverseZone has the computers of 127.0.60.0/24: by names of two domains, one that anybody could
// have made up, one behind an alias as in a delegated part (RFC 2317), one with so many names that
// they take TCP.
func reverseZone() string {
	var b strings.Builder
	b.WriteString("$TTL 60\n@ SOA ns.company.com. h.company.com. 1 3600 600 604800 60\n@ NS ns.company.com.\n" +
		"1 PTR pc1.UK.Company.com.\n2 PTR pc2.company.com.\n" +
		"3 PTR www.uk.company.com.evil.example.\n3 PTR uk\\.company.com.evil.example.\n" +
		"4 CNAME 4.sub\n4.sub PTR pc4.uk.company.com.\n")
	for i := range 60 {
		b.WriteString("5 PTR " + strings.Repeat("x", 40) + "-" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".company.com.\n")
	}
	b.WriteString("5 PTR pc5.uk.company.com.\n")
	return b.String()
}

func domainConfig(servers ...string) Config {
	cfg := placeConfig()
	cfg.Topology = []Topology{{Prefix: "127.0.60.0/24", Datacenters: []string{"us"}}}
	cfg.Domains = []place.Domain{
		{Suffix: "company.com", Datacenters: []string{"de"}}, {Suffix: "uk.company.com", Datacenters: []string{"uk"}},
	}
	cfg.Reverse = place.Reverse{Servers: servers, Timeout: 5 * time.Second}
	return cfg
}

// TestDomainOfTheComputer: the first answer follows the address, and once a real name server has
// said the computer's name, the answers follow its domain.
func TestDomainOfTheComputer(t *testing.T) {
	covers.Req(t, "GT13")
	ns := realserver.NSD(t, realserver.DNSOptions{Zones: map[string]string{"60.0.127.in-addr.arpa": reverseZone()}})
	reg := prometheus.NewPedanticRegistry()
	cfg := domainConfig("127.0.0.1:1", ns.Addr) // nobody listens at the first one
	cfg.Resolvers = []place.Resolver{{Prefix: "127.0.60.2", Datacenters: []string{"us"}}}
	s, addr := startServer(t, Options{Metrics: reg}, compiled(t, cfg))
	get := func(from string, changes ...func(*dns.Msg)) string {
		t.Helper()
		return only(t, askFrom(t, from, addr, question("cb.company.com.", dns.TypeA, changes...)))
	}
	known := func(clients int) {
		t.Helper()
		waitFor(t, "the look-ups", func() bool {
			s.domains.mu.RLock()
			defer s.domains.mu.RUnlock()
			return len(s.domains.young) == clients && len(s.domains.pending) == 0
		})
	}
	clients := map[string]string{
		"127.0.60.1": answerUK, "127.0.60.4": answerUK, "127.0.60.5": answerUK,
		"127.0.60.3": answerUS, // a name that only looks like one of ours
		"127.0.60.9": answerUS, // no name
	}
	for from := range clients {
		if got := get(from); got != answerUS {
			t.Errorf("%s, not looked up yet: %s, want the answer for its address %s", from, got, answerUS)
		}
	}
	known(len(clients))
	for from, want := range clients {
		if got := get(from); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
		if got := get(from, subnet("127.0.60.0/24")); got != answerUS {
			t.Errorf("%s with a client subnet: %s, want %s", from, got, answerUS)
		}
	}
	if get("127.0.60.2") != answerUS || get("127.0.60.6", subnet("0.0.0.0/0")) != answerUS {
		t.Error("a resolver of the map or one that sends client subnets is answered by its own name")
	}
	askFrom(t, "127.0.60.7", addr, question("company.com.", dns.TypeSOA))
	known(len(clients)) // neither of the three was looked up

	want := `
# HELP switchpoint_gtm_reverse_lookups_total Look-ups of the names of client computers, by result: named, unnamed or failed.
# TYPE switchpoint_gtm_reverse_lookups_total counter
switchpoint_gtm_reverse_lookups_total{result="failed"} 0
switchpoint_gtm_reverse_lookups_total{result="named"} 4
switchpoint_gtm_reverse_lookups_total{result="unnamed"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "switchpoint_gtm_reverse_lookups_total"); err != nil {
		t.Error(err)
	}
	cfg.Domains[1].Datacenters = []string{"de", "us"}
	s.SetTable(compiled(t, cfg)) // the names are still known
	if got := get("127.0.60.1"); got != answerDE {
		t.Errorf("after a reload: %s, want %s", got, answerDE)
	}
	cfg.Reverse.Servers = []string{ns.Addr}
	s.SetTable(compiled(t, cfg)) // other servers may say other names
	if got := get("127.0.60.1"); got != answerUS {
		t.Errorf("after a change of servers: %s, want %s", got, answerUS)
	}
	known(1)
	if got := get("127.0.60.1"); got != answerDE {
		t.Errorf("looked up again: %s, want %s", got, answerDE)
	}
	q := Question{Name: "cb.company.com.", Type: typeA, Client: netip.MustParseAddr("127.0.60.1")}
	if ans, err := s.Explain(q, WhatIf{}); err != nil || !strings.Contains(ans.Reason.String(),
		"127.0.60.1 is the computer pc1.uk.company.com ([[gtm.domain]] uk.company.com)") {
		t.Errorf("explained as %v\n%s", err, ans.Reason.String())
	}
}

// TestSilentNameServer: a name server that never answers makes no query wait, however many clients
// come, and one client waits in one place only.
func TestSilentNameServer(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var asked atomic.Int64
	go func() {
		buf := make([]byte, 512)
		for {
			if _, _, err := silent.ReadFrom(buf); err != nil {
				return
			}
			asked.Add(1)
		}
	}()
	cfg := domainConfig(silent.LocalAddr().String())
	cfg.Reverse.Timeout = 30 * time.Second
	s, addr := startServer(t, Options{}, compiled(t, cfg))
	begin := time.Now()
	for i := range 200 {
		from := netip.AddrFrom4([4]byte{127, 0, 60, byte(1 + i%50)}).String()
		if got := only(t, askFrom(t, from, addr, question("cb.company.com.", dns.TypeA))); got != answerUS {
			t.Fatalf("%s: %s", from, got)
		}
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("200 queries took %v", took)
	}
	waitFor(t, "all workers", func() bool { return asked.Load() == reverseWorkers })
	s.domains.mu.RLock()
	defer s.domains.mu.RUnlock()
	if n := len(s.domains.pending); n != 50 || len(s.domains.queue) != 50-reverseWorkers {
		t.Errorf("%d clients are being looked up, %d of them wait", n, len(s.domains.queue))
	}
}

// TestDomainsAreBounded: what is remembered and what waits.
func TestDomainsAreBounded(t *testing.T) {
	d, err := newDomains(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.configure(reverseTable(t, "127.0.0.1:53", "company.com"))
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	now := time.Now()
	for i := range 1000 {
		d.keep(address(i), "pc.company.com", false, d.generation, now)
		if n := len(d.young) + len(d.old); n > 100 {
			t.Fatalf("%d clients are remembered", n)
		}
	}
	for i := range 1000 {
		if name, _ := d.find(address(i), now); (name != "") != (i >= 900) {
			t.Errorf("client %d: %q", i, name)
		}
	}
	for i := range reverseQueue + 10 {
		d.lookUp(address(i))
		d.lookUp(address(i))
	}
	if len(d.pending) != reverseQueue || testutil.ToFloat64(d.dropped) != 20 {
		t.Errorf("%d wait, %v were dropped", len(d.pending), testutil.ToFloat64(d.dropped))
	}
}

// TestDomainsAge: a name counts for as long as configured and is looked up again before; that a
// client has none is forgotten sooner, a failure soonest, and it takes no name away.
func TestDomainsAge(t *testing.T) {
	d, err := newDomains(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.configure(reverseTable(t, "127.0.0.1:53", "company.com"))
	client, start := netip.MustParseAddr("10.0.0.1"), time.Now()
	f := func(after time.Duration, name string, due bool) {
		t.Helper()
		if got, ask := d.find(client, start.Add(after)); got != name || ask != due {
			t.Errorf("after %v: %q, due %v, want %q, %v", after, got, ask, name, due)
		}
	}
	f(0, "", true)
	d.keep(client, "", true, d.generation, start)
	f(reverseFailed-1, "", false)
	f(reverseFailed, "", true)
	d.keep(client, "", false, d.generation, start)
	f(reverseNone-1, "", false)
	f(reverseNone, "", true)
	d.keep(client, "pc1", false, d.generation, start)
	f(44*time.Minute, "pc1", false)
	f(45*time.Minute, "pc1", true)
	d.keep(client, "", true, d.generation, start.Add(45*time.Minute))
	f(45*time.Minute+reverseFailed-1, "pc1", false)
	f(45*time.Minute+reverseFailed, "pc1", true)
	f(time.Hour, "", true)
	d.keep(client, "", false, d.generation, start.Add(46*time.Minute)) // it has none any more
	f(47*time.Minute, "", false)
}

// reverseTable asks one server, for an hour and 100 clients.
func reverseTable(t *testing.T, server string, suffixes ...string) *place.Table {
	t.Helper()
	cfg := place.Config{
		Reverse: place.Reverse{Servers: []string{server}, Keep: time.Hour, Entries: 100}, Datacenters: []string{"us"}, Datacenter: "us",
	}
	for _, s := range suffixes {
		cfg.Domains = append(cfg.Domains, place.Domain{Suffix: s, Datacenters: []string{"us"}})
	}
	table, err := place.Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestDomainsFollowAReload: with other suffixes another one of a client's names may count, so all
// are looked up again and count until then; with other servers nothing counts, nor does what an
// earlier server says late.
func TestDomainsFollowAReload(t *testing.T) {
	d, err := newDomains(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, now := netip.MustParseAddr("10.0.0.1"), time.Now()
	f := func(what, name string, due bool) {
		t.Helper()
		if got, ask := d.find(client, now); got != name || ask != due {
			t.Errorf("%s: %q, due %v, want %q, %v", what, got, ask, name, due)
		}
	}
	d.configure(reverseTable(t, "127.0.0.1:53", "company.com"))
	before := d.generation
	d.keep(client, "pc1", false, before, now)
	d.configure(reverseTable(t, "127.0.0.1:53", "company.com"))
	f("the same", "pc1", false)
	d.configure(reverseTable(t, "127.0.0.1:53", "company.com", "uk.company.com"))
	f("another suffix", "pc1", true)
	d.keep(client, "pc1", false, before, now)
	f("chosen for the suffixes of before", "pc1", true)
	d.keep(client, "", true, d.generation, now)
	f("nobody knows", "pc1", false)
	d.keep(client, "pc1.uk", false, d.generation, now)
	f("chosen anew", "pc1.uk", false)
	before = d.generation
	d.lookUp(client)
	d.configure(reverseTable(t, "127.0.0.2:53", "company.com", "uk.company.com"))
	f("another server", "", true)
	d.keep(client, "of.the.old.server", false, before, now)
	f("what the old server said late", "", true)
	if len(d.pending) != 0 {
		t.Error("it is never looked up again")
	}
}

// TestFailuresAreLoggedOnce: some reverse zones always fail, and clients of all kinds ask in turn.
func TestFailuresAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	d, err := newDomains(slog.New(slog.NewTextHandler(&log, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for range 100 {
		d.note(errors.New("SERVFAIL"), now)
		d.note(nil, now.Add(reverseCalm-1))
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	d.note(nil, now.Add(reverseCalm))
	d.note(nil, now.Add(reverseCalm))
	d.note(errors.New("SERVFAIL"), now.Add(2*reverseCalm))
	if n := strings.Count(log.String(), "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// TestReverseStops: the end of the server ends a look-up at once.
func TestReverseStops(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	begin := time.Now()
	_, err = reverseNames(ctx, silent.LocalAddr().String(), time.Minute, netip.MustParseAddr("10.0.0.1"))
	if err == nil || time.Since(begin) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

// TestReverseIsNotFooled: an answer to another question is passed over, and a server's error is one.
func TestReverseIsNotFooled(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var refuse atomic.Bool
	server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if refuse.Load() {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused))
			return
		}
		reply := func(name string, change func(*dns.Msg)) {
			m := new(dns.Msg).SetReply(q)
			m.Answer = []dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypePTR, Class: dns.ClassINET}, Ptr: name}}
			change(m)
			_ = w.WriteMsg(m)
		}
		_, _ = w.Write([]byte{1, 2, 3})
		reply("another-id.", func(m *dns.Msg) { m.Id++ })
		reply("another-question.", func(m *dns.Msg) { m.Question[0].Name = "1.0.0.127.in-addr.arpa." })
		reply("a-query.", func(m *dns.Msg) { m.Response = false })
		reply("Right.Company.com.", func(*dns.Msg) {})
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-done
	})
	ask := func() ([]string, error) {
		return reverseNames(t.Context(), pc.LocalAddr().String(), 5*time.Second, netip.MustParseAddr("2001:db8::1"))
	}
	var names []string
	waitFor(t, "the server", func() bool { names, err = ask(); return err == nil })
	if len(names) != 1 || names[0] != "right.company.com" {
		t.Errorf("names %q", names)
	}
	refuse.Store(true)
	if _, err := ask(); err == nil || !strings.Contains(err.Error(), "answers REFUSED") {
		t.Errorf("a refusal: %v", err)
	}
}

// FuzzPointers: no answer of a name server makes more than bounded names.
func FuzzPointers(f *testing.F) {
	m := new(dns.Msg).SetQuestion("1.0.0.10.in-addr.arpa.", dns.TypePTR)
	for _, text := range []string{"1.0.0.10.in-addr.arpa. 1 CNAME 1.sub.", "1.sub. 1 PTR pc1.company.com.", "1.sub. 1 CNAME 1.sub.", "x. 1 PTR y."} {
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := new(dns.Msg)
		if m.Unpack(wire) != nil {
			return
		}
		names := pointers(m, "1.0.0.10.in-addr.arpa.")
		if len(names) > maxReverseNames {
			t.Fatalf("%d names", len(names))
		}
	})
}
