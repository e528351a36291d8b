package gtm

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// TestDeadMemberIsNotHandedOut plays DNS balancing over real sockets and a real health engine:
// several A records in rotation, the _connection_broker record that points at their name, and
// a member that dies is no longer answered in any of them.
func TestDeadMemberIsNotHandedOut(t *testing.T) {
	covers.Req(t, "TP5")
	cfg := Config{
		Listen: []string{"127.0.0.1:0"}, Datacenter: "us", Datacenters: []string{"us"},
		Zones: []Zone{{Origin: "company.com", NS: []string{"ns.example.net"}}},
		Names: []Name{{
			Name: "cb.company.com", Monitor: "alive", Pools: []Pool{{Datacenter: "us"}},
			SRV: []Service{{Name: "_connection_broker.company.com", Target: steer.TargetName}},
		}},
	}
	var brokers []net.Listener
	for _, ip := range []string{"127.0.3.1", "127.0.3.2", "127.0.3.3"} {
		l, err := net.Listen("tcp", ip+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		brokers = append(brokers, l)
		p := &cfg.Names[0].Pools[0]
		p.Members = append(p.Members, Member{Address: ip, Port: uint16(l.Addr().(*net.TCPAddr).Port)})
	}
	engine := startEngine(t, cfg.Checks())
	table, err := Compile(cfg, engine.Ref)
	if err != nil {
		t.Fatal(err)
	}
	_, addr := startServer(t, Options{Snapshot: engine.Snapshot, Subscribe: engine.Subscribe}, table)

	all := []string{"127.0.3.1", "127.0.3.2", "127.0.3.3"}
	first := map[string]bool{}
	for range 200 {
		got := addresses(ask(t, "udp", addr, "cb.company.com.", dns.TypeA).Answer)
		first[got[0]] = true
		if slices.Sort(got); !slices.Equal(got, all) {
			t.Fatalf("all up: got %v", got)
		}
	}
	if len(first) != 3 {
		t.Errorf("200 answers began only with %v", first)
	}
	brokers[1].Close()
	want := []string{"127.0.3.1", "127.0.3.3"}
	for deadline := time.Now().Add(10 * time.Second); ; {
		m := ask(t, "udp", addr, "_connection_broker.company.com.", dns.TypeSRV)
		if len(m.Answer) != 1 || m.Answer[0].(*dns.SRV).Target != "cb.company.com." {
			t.Fatalf("SRV: %v", m)
		}
		got := addresses(m.Extra)
		if slices.Sort(got); slices.Equal(got, want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a dead broker is still handed out: %v", got)
		}
	}
	got := addresses(ask(t, "tcp", addr, "cb.company.com.", dns.TypeA).Answer)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("A after the death: %v", got)
	}
}

// startEngine runs a health engine that opens TCP connections, until the test ends.
func startEngine(t *testing.T, checks []healthcheck.Key) *healthcheck.Engine {
	t.Helper()
	return startEngineOf(t, "tcp", checks)
}

// startEngineOf does so with probes of a kind.
func startEngineOf(t *testing.T, kind string, checks []healthcheck.Key) *healthcheck.Engine {
	t.Helper()
	table, err := healthcheck.Compile(healthcheck.Config{
		Checks: checks,
		Monitors: []healthcheck.Monitor{{
			Name: "alive", Kind: kind, Interval: 300 * time.Millisecond, Timeout: 250 * time.Millisecond, Fall: 2, Rise: 1,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	engine := healthcheck.New(healthcheck.Options{})
	engine.SetTable(table)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("health engine: %v", err)
		}
	})
	<-engine.Ready()
	return engine
}

// addresses are those of A and AAAA records.
func addresses(rrs []dns.RR) []string {
	var out []string
	for _, rr := range rrs {
		if a, ok := addressOf(rr); ok {
			out = append(out, a.String())
		}
	}
	return out
}
