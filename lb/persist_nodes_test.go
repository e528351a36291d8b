package lb

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/lb/nodes"
	"switchpoint/peer"
)

// startPeers makes peer nodes that trust each other.
func startPeers(t *testing.T, names ...string) []*peer.Node {
	t.Helper()
	var out []*peer.Node
	var ids []peer.Identity
	var trust []peer.Trust
	for _, name := range names {
		id, err := peer.LoadIdentity(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		n, err := peer.New(peer.Options{Config: peer.Config{Listen: "127.0.0.1:0"}, Identity: id, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		out, ids = append(out, n), append(ids, id)
		trust = append(trust, peer.Trust{Name: name, Cluster: "lb", Key: id.PublicKey(), Address: n.Addr().String()})
	}
	for i, n := range out {
		table, err := peer.Compile(peer.Config{Trust: trust}, ids[i].PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		n.SetTable(table)
	}
	return out
}

// runPeer runs it with what the proxy answers.
func runPeer(t *testing.T, n *peer.Node, p *Proxy) {
	t.Helper()
	for method, h := range p.Handlers() {
		n.Handle(method, h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("peer: %v", err)
		}
	})
}

// TestTwins: a client that comes to the other balancer finds the member that it had, and what an
// operator said to one holds at both.
func TestTwins(t *testing.T) {
	a, b, c := startBackend(t, says("a")), startBackend(t, says("b")), startBackend(t, says("c"))
	cfg := persistentConfig(PersistSession, members(a, b, c))
	cfg.Nodes = nodes.Config{Peers: []string{"lb-1", "lb-2"}}
	peers := startPeers(t, "lb-1", "lb-2")
	var twins []*running
	var registries []*prometheus.Registry
	for i, name := range []string{"lb-1", "lb-2"} {
		mine := cfg
		mine.Pools = []Pool{cfg.Pools[0]}
		if i == 1 { // in another order: ids differ
			ms := cfg.Pools[0].Members
			mine.Pools[0].Members = []Member{ms[2], ms[1], ms[0]}
		}
		reg := prometheus.NewRegistry()
		r := start(t, mine, func(o *Options) { o.Node, o.Call, o.Metrics = name, peers[i].Call, reg })
		runPeer(t, peers[i], r.Proxy)
		twins, registries = append(twins, r), append(registries, reg)
	}
	one, two := twins[0], twins[1]
	eventually(t, "both are in touch", func() bool { return one.Nodes()[0].InTouch && two.Nodes()[0].InTouch })

	was := map[string]string{}
	for n := range 9 {
		from := fmt.Sprintf("192.0.2.%d", n)
		_, was[from] = one.ask(from)
	}
	_, session := one.ask("198.51.100.1", "Authorization: Bearer sp1.1.x")
	began := time.Now()
	eventually(t, "the twin knows the clients", func() bool {
		for from := range was {
			if two.Explain("front", netip.MustParseAddr(from)).PersistedFor == 0 {
				return false
			}
		}
		return bound(two) == bound(one)
	})
	t.Logf("after %v", time.Since(began))
	for from, m := range was {
		if _, now := two.ask(from); now != m {
			t.Errorf("%s had %s and gets %s from the twin", from, m, now)
		}
	}
	if _, now := two.ask("203.0.113.5", "Authorization: Bearer sp1.1.x"); now != session {
		t.Errorf("the session was at %s and goes to %s", session, now)
	}

	if err := one.Operate(Word{Pool: "brokers", Member: "b", Do: Drain, Owner: "test", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	for _, ack := range one.TellNodes(t.Context()) {
		if !ack.Has || ack.Node != "lb-2" {
			t.Errorf("%+v", ack)
		}
	}
	drained := func(r *running) bool {
		for _, m := range r.Status().Pools[0].Members {
			if m.Name == "b" && m.State == "draining" {
				return true
			}
		}
		return false
	}
	if !drained(two) {
		t.Error("the twin does not know that b drains")
	}
	if err := two.Operate(Word{Pool: "brokers", Member: "b", Do: Enable, Owner: "test", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first one knows it without being asked", func() bool { return !drained(one) })

	// A pool that only one has is of no concern to the other; when it gets it, it gets its clients.
	more := cfg
	more.Pools = append([]Pool{cfg.Pools[0]}, Pool{Name: "more", Persistence: PersistSource, Members: members(a, b)})
	more.Listeners = []Listener{cfg.Listeners[0]}
	more.Listeners[0].Routes = []Route{{Path: "/more", Pool: "more"}}
	one.reload(more)
	_, m := one.askPath("/more", "192.0.2.1")
	two.reload(more)
	eventually(t, "the twin has the client of the new pool", func() bool {
		e := two.ExplainRequest("front", netip.MustParseAddr("192.0.2.1"), "x", "/more")
		return e.PersistedFor > 0 && e.Member == m
	})
	for _, reg := range registries {
		if n, err := testutil.GatherAndCount(reg, "switchpoint_lb_persistence_entries"); n != 5 || err != nil {
			t.Errorf("the entries of %d members are shown, want 5: %v", n, err)
		}
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	}
}
