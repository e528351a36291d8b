package gtm

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/healthcheck/isalive"
	"switchpoint/internal/covers"
)

// moody is a broker that says in its is_alive answer what the test wants.
type moody struct {
	ip     string
	port   uint16
	answer atomic.Pointer[isalive.Answer]
}

func startMoody(t *testing.T, ip string) *moody {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	m := &moody{ip: ip, port: uint16(l.Addr().(*net.TCPAddr).Port)}
	m.say(200, "normal")
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a := *m.answer.Load()
		a.Each(w.Header().Set)
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, a.Body())
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return m
}

func (m *moody) say(status int, mode string) {
	m.answer.Store(&isalive.Answer{Status: status, Mode: mode, Active: -1, Capacity: -1})
}

// TestBrokersChangeTheirMode: the answers for two datacenters as their brokers lose their database and get
// it back, told by nothing but the header of their is_alive answer.
func TestBrokersChangeTheirMode(t *testing.T) {
	covers.Req(t, "DC7", "AL5")
	cfg := Config{
		Listen: []string{"127.0.0.1:0"}, Datacenter: "us", Datacenters: []string{"us", "uk"},
		Zones: []Zone{{Origin: "company.com", NS: []string{"ns.example.net"}}},
		Names: []Name{{
			Name: "cb.company.com", Monitor: "alive", PreferNormal: true,
			SRV:   []Service{{Name: "_connection_broker._tcp.company.com"}},
			Pools: []Pool{{Datacenter: "us"}, {Datacenter: "uk"}},
		}},
	}
	brokers := map[string]*moody{}
	for i, ip := range []string{"127.0.3.11", "127.0.3.12", "127.0.3.13", "127.0.3.21"} {
		b := startMoody(t, ip)
		brokers[ip] = b
		p := &cfg.Names[0].Pools[i/3]
		p.Members = append(p.Members, Member{Host: fmt.Sprintf("b%d.company.com", len(brokers)), Address: ip, Port: b.port})
	}
	a, b, c, uk := brokers["127.0.3.11"], brokers["127.0.3.12"], brokers["127.0.3.13"], brokers["127.0.3.21"]
	engine := startEngineOf(t, "http", cfg.Checks())
	table, err := Compile(cfg, engine.Ref)
	if err != nil {
		t.Fatal(err)
	}
	s, addr := startServer(t, Options{Snapshot: engine.Snapshot, Subscribe: engine.Subscribe}, table)
	answers := func(want ...*moody) {
		t.Helper()
		var ips, got []string
		for _, m := range want {
			ips = append(ips, m.ip)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			got = addresses(ask(t, "udp", addr, "cb.company.com.", dns.TypeA).Answer)
			if slices.Sort(got); slices.Equal(got, ips) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("answered are %v, want %v; %+v", got, ips, s.Status().Names[0].Pools[0])
			}
		}
		srv := ask(t, "tcp", addr, "_connection_broker._tcp.company.com.", dns.TypeSRV)
		first, best := 0, uint16(math.MaxUint16)
		for _, rr := range srv.Answer {
			switch p := rr.(*dns.SRV).Priority; {
			case p < best:
				first, best = 1, p
			case p == best:
				first++
			}
		}
		if first != len(want) {
			t.Errorf("SRV puts %d first, A answers %v: %v", first, got, srv.Answer)
		}
	}
	answers(a, b, c)
	a.say(200, "hostcache")
	answers(b, c)
	member := s.Status().Names[0].Pools[0].Members[0]
	if member.Mode != "hostcache" || member.ModeSince.IsZero() || time.Since(member.ModeSince) > time.Minute || member.Serving {
		t.Errorf("status: %+v", member)
	}
	q, err := NewQuestion("cb.company.com", "A", netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	ans, err := s.Explain(q, WhatIf{})
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(ans.Reason.Lines(), "\n"); !strings.Contains(text, ", mode hostcache since ") || !strings.Contains(text, "before those in other modes") {
		t.Errorf("explained as\n%s", text)
	}
	b.say(200, "leased")
	c.say(503, "normal")
	answers(a, b)
	c.say(200, "normal")
	answers(c)
	c.say(200, "") // who says nothing is not preferred
	answers(a, b, c)
	c.say(200, "recovering")
	answers(a, b, c) // all of the datacenter: not one client leaves it at once
	if p := s.Status().Names[0].Pools[0]; !p.In || len(p.Changes) != 0 {
		t.Errorf("the datacenter is out: %+v", p)
	}
	a.say(200, "normal")
	answers(a)
	for _, m := range []*moody{a, b, c} {
		m.say(503, "draining")
	}
	answers(uk) // at once: that is no overload, they refuse everybody
	uk.say(200, "hostcache")
	a.say(200, "hostcache")
	answers(a)
}
