package lb

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
)

// TestMethodsServe runs every method through a balancer with real members of two weights: no
// request is lost, and one client after another is spread as the method has it.
func TestMethodsServe(t *testing.T) {
	covers.Req(t, "LB2")
	a, b := startBackend(t, says("a")), startBackend(t, says("b"))
	for _, method := range choice.Methods() {
		t.Run(method, func(t *testing.T) {
			cfg := plainConfig(members(a, b))
			cfg.Pools[0].Method = method
			cfg.Pools[0].Members[0].Weight = 3
			r := start(t, cfg)
			c := client(t, nil)
			got := map[string]int{}
			for range 80 {
				want := r.Explain("front", loopback).Member
				_, who := get(t, c, "http://"+r.addr+"/")
				got[who]++
				if method == choice.HashName || method == choice.RoundRobinName {
					if who != want {
						t.Fatalf("explained %s, got %s", want, who)
					}
				}
			}
			switch method {
			case choice.HashName:
				if got["a"] != 0 && got["b"] != 0 {
					t.Errorf("one client went to %v", got)
				}
			case choice.RoundRobinName, choice.NetScalerName: // which begins with turns
				if got["a"] != 60 || got["b"] != 20 {
					t.Errorf("got %v, want 60 and 20", got)
				}
			default:
				if got["a"] < 30 || got["b"] < 5 {
					t.Errorf("got %v, want about 60 and 20", got)
				}
			}
		})
	}
}

// TestHashByClient: clients are spread over the members, each stays where it is while others come
// and go, also at another balancer with the same members in another order.
func TestHashByClient(t *testing.T) {
	var ms []Member
	for i := range 5 {
		ms = append(ms, Member{Address: "127.0.0." + strconv.Itoa(i+1) + ":9"})
	}
	place := func(ms []Member) []string {
		cfg := plainConfig(ms)
		cfg.Pools[0].Method = choice.HashName
		r := start(t, cfg)
		var out []string
		for c := range 200 {
			out = append(out, r.Explain("front", netip.AddrFrom4([4]byte{10, 0, 1, byte(c)})).Member)
		}
		return out
	}
	before := place(ms)
	got := map[string]int{}
	for _, m := range before {
		got[m]++
	}
	for _, m := range ms {
		if n := got[m.Address]; n < 20 || n > 60 {
			t.Errorf("%d of 200 clients at %s, want about 40", n, m.Address)
		}
	}
	left := place([]Member{ms[4], ms[2], ms[1], ms[0]})
	for c := range before {
		if before[c] != ms[3].Address && left[c] != before[c] {
			t.Fatalf("a member left: client %d moved from %s to %s", c, before[c], left[c])
		}
	}
}

// TestFastestNodeCountsAllPools: what a node does for one pool counts in the other, whatever the
// port; least-connections sees its own pool only.
func TestFastestNodeCountsAllPools(t *testing.T) {
	for _, method := range []string{choice.FastestNodeName, choice.LeastConnectionsName} {
		t.Run(method, func(t *testing.T) {
			cfg := plainConfig([]Member{{Name: "a", Address: "127.0.0.1:9"}, {Name: "b", Address: "127.0.0.2:9"}})
			cfg.Pools[0].Method = method
			other := cfg.Pools[0]
			other.Name, other.Members = "other", []Member{{Name: "a", Address: "127.0.0.1:10"}, {Name: "c", Address: "127.0.0.3:9"}}
			cfg.Pools = append(cfg.Pools, other)
			r := start(t, cfg)
			pools := r.live.Load().pools
			now := r.now()
			for range 3 {
				pools[1].ups[0].Begin(now, 0, 0)
			}
			pools[0].ups[1].Begin(now, 0, 0)
			want := "a"
			if method == choice.FastestNodeName {
				want = "b"
			}
			if got := r.Explain("front", loopback).Member; got != want {
				t.Errorf("picked %s, want %s", got, want)
			}
			for range 3 {
				pools[1].ups[0].End(now, 0)
			}
			if got := r.Explain("front", loopback).Member; got != "a" {
				t.Errorf("when the other pool is done: %s, want a", got)
			}
			pools[0].ups[1].End(now, 0)
		})
	}
}

// TestNetScalerBeginsAnew: a member that a reload adds, and a change of the method, start the
// round robin of the vendor's method again; a reload that changes neither does not.
func TestNetScalerBeginsAnew(t *testing.T) {
	backends := []*backend{startBackend(t, says("a")), startBackend(t, says("b")), startBackend(t, says("c"))}
	cfg := plainConfig(members(backends[:2]...))
	cfg.Pools[0].Method = choice.NetScalerName
	r := start(t, cfg)
	c := client(t, nil)
	ask := func(n int) {
		t.Helper()
		for range n {
			if resp, _ := get(t, c, "http://"+r.addr+"/"); resp != http.StatusOK {
				t.Fatalf("status %d", resp)
			}
		}
	}
	turns := func() bool {
		pool := r.live.Load().pools[0]
		return pool.startup.Holds(pool.draws.Load() + 1)
	}
	if ask(50); !turns() {
		t.Error("not by turns in the first hundred requests")
	}
	if ask(51); turns() {
		t.Error("by turns after a hundred requests")
	}
	cfg.Pools[0].ResponseTimeout = time.Minute
	r.reload(cfg)
	if ask(1); turns() {
		t.Error("a reload of something else starts it")
	}
	cfg.Pools[0].Members = members(backends...)
	r.reload(cfg)
	if ask(1); !turns() {
		t.Error("a member that is added does not start it")
	}
	if ask(101); turns() {
		t.Error("it never ends")
	}
	cfg.Pools[0].Method = choice.LeastConnectionsName
	r.reload(cfg)
	ask(1)
	cfg.Pools[0].Method = choice.NetScalerName
	r.reload(cfg)
	if ask(1); !turns() {
		t.Error("a change of the method does not start it")
	}
}
