package gtm

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"switchpoint/healthcheck"
)

// TestRotationIsUniform: over all draws every address comes first equally often, and the set
// is always whole.
func TestRotationIsUniform(t *testing.T) {
	s := &steered{allDown: allDownAll, pools: []pool{{}}}
	for i := range 5 {
		s.pools[0].members = append(s.pools[0].members, member{addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), weight: 1})
	}
	d := decide(s, []int{0}, nil)
	first := map[netip.Addr]int{}
	for draw := range uint64(1000) {
		got := d.addresses(false, draw*0x9e3779b97f4a7c15)
		if len(got) != 5 {
			t.Fatalf("draw %d: %v", draw, got)
		}
		first[d.addresses(false, draw)[0]]++
	}
	for a, n := range first {
		if n != 200 {
			t.Errorf("%s came first %d times of 1000, want 200", a, n)
		}
	}
}

// TestMembersAtOneAddress: two brokers at one address are one A record and two SRV records.
func TestMembersAtOneAddress(t *testing.T) {
	a := netip.MustParseAddr("10.0.0.1")
	s := &steered{pools: []pool{{members: []member{
		{host: "h.", addr: a, port: 1, weight: 1}, {host: "h.", addr: a, port: 2, weight: 1},
	}}}}
	d := decide(s, []int{0}, nil)
	if got := d.addresses(false, 1); len(got) != 1 {
		t.Errorf("addresses: %v", got)
	}
	answer, extra := serviceRecords("s.", &service{of: s}, d, 0)
	if len(answer) != 2 || len(extra) != 1 {
		t.Errorf("SRV: %v, additional: %v", answer, extra)
	}
}

func TestWeights(t *testing.T) {
	f := func(want []uint16, weights, spare []int) {
		t.Helper()
		g := group{pool: &pool{}}
		for i, w := range weights {
			g.members = append(g.members, member{weight: w})
			load := healthcheck.Load{Active: 1, Capacity: 1 + spare[i]}
			if spare[i] < 0 {
				load = healthcheck.Load{Active: -1, Capacity: -1}
			}
			g.status = append(g.status, healthcheck.Status{Load: load})
			g.serving = append(g.serving, i)
		}
		if got := g.weights(); !slices.Equal(got, want) {
			t.Errorf("weights %v spare %v: got %v, want %v", weights, spare, got, want)
		}
	}
	f([]uint16{1, 3}, []int{1, 3}, []int{-1, -1})         // nobody says
	f([]uint16{1, 3}, []int{1, 3}, []int{50, -1})         // only one says: no common unit
	f([]uint16{50, 7}, []int{1, 3}, []int{50, 7})         // all say
	f([]uint16{50, 0}, []int{1, 3}, []int{50, 0})         // a full one is the last resort
	f([]uint16{1, 3}, []int{1, 3}, []int{0, 0})           // all full: as configured
	f([]uint16{65535, 655}, []int{1, 1}, []int{1e7, 1e5}) // scaled together
	f([]uint16{65535}, []int{1}, []int{math.MaxInt32})
}

// TestServicesAgreeWithAddresses: under any health, for any client, the members of the best
// SRV priority are exactly those that A and AAAA answer; and nobody down is ever answered while
// somebody serves.
func TestServicesAgreeWithAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, health := drawConfig(t)
		keys := cfg.Checks()
		table, err := Compile(cfg, func(k healthcheck.Key) healthcheck.Ref { return healthcheck.Ref(slices.Index(keys, k)) })
		if err != nil {
			t.Fatal(err)
		}
		status := func(r healthcheck.Ref) healthcheck.Status { return health[keys[r].Address] }
		client := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 4).Draw(t, "subnet")), 0, 1})
		q := Question{Name: "cb.c.", Client: client, Draw: rapid.Uint64().Draw(t, "draw")}
		var addrs []netip.Addr
		for _, q.Type = range []uint16{typeA, typeAAAA} {
			for _, rr := range resolve(table, status, q).Answer {
				a, _ := addressOf(rr)
				addrs = append(addrs, a)
			}
		}
		q.Name, q.Type = "_s._tcp.c.", typeSRV
		best := bestTargets(resolve(table, status, q))
		slices.SortFunc(addrs, netip.Addr.Compare)
		if !slices.Equal(addrs, best) {
			t.Fatalf("A and AAAA answer %v, the best SRV priority %v", addrs, best)
		}
		up := false
		for _, st := range health {
			up = up || st.State == healthcheck.Up
		}
		for _, a := range addrs {
			if up && health[netip.AddrPortFrom(a, 443).String()].State == healthcheck.Down {
				t.Fatalf("%s is down and was answered while others are up", a)
			}
		}
	})
}

// drawConfig makes a name with random pools and the health of every member.
func drawConfig(t *rapid.T) (Config, map[string]healthcheck.Status) {
	dcs := []string{"us", "uk", "de"}
	cfg := Config{
		Listen: []string{"127.0.0.1:0"}, Datacenters: dcs, Datacenter: rapid.SampledFrom(dcs).Draw(t, "own"),
		Zones: []Zone{{Origin: "c", NS: []string{"ns.example.net"}}},
		Names: []Name{{Name: "cb.c", Monitor: "m", SRV: []Service{{Name: "_s._tcp.c"}}}},
	}
	cfg.Names[0].AllDown = rapid.SampledFrom([]string{"all", "nodata", "servfail"}).Draw(t, "policy")
	for i := range rapid.IntRange(0, 4).Draw(t, "prefixes") {
		cfg.Topology = append(cfg.Topology, Topology{
			Prefix: fmt.Sprintf("10.%d.0.0/16", i), Datacenters: rapid.SliceOfNDistinct(rapid.SampledFrom(dcs), 1, 3, rapid.ID).Draw(t, "order"),
		})
	}
	health := map[string]healthcheck.Status{}
	for i := range rapid.IntRange(1, 3).Draw(t, "pools") {
		p := Pool{Datacenter: dcs[i]}
		for j := range rapid.IntRange(1, 4).Draw(t, "members") {
			addr := netip.AddrFrom4([4]byte{10, 100, byte(i), byte(j)})
			if rapid.Bool().Draw(t, "ipv6") {
				addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i), byte(j)})
			}
			host := fmt.Sprintf("h%d.%s.c", rapid.IntRange(0, j).Draw(t, "host"), dcs[i])
			p.Members = append(p.Members, Member{Host: host, Address: addr.String(), Port: 443})
			health[netip.AddrPortFrom(addr, 443).String()] = healthcheck.Status{
				State: healthcheck.State(rapid.IntRange(0, int(healthcheck.Maintenance)).Draw(t, "state")),
				Load:  healthcheck.Load{Active: 0, Capacity: rapid.IntRange(-1, 9).Draw(t, "capacity")},
			}
		}
		cfg.Names[0].Pools = append(cfg.Names[0].Pools, p)
	}
	return cfg, health
}

// bestTargets are the addresses, in ADDITIONAL, of the targets of the best priority.
func bestTargets(ans Answer) []netip.Addr {
	best := uint16(math.MaxUint16)
	for _, rr := range ans.Answer {
		best = min(best, rr.(*dns.SRV).Priority)
	}
	hosts := map[string]bool{}
	for _, rr := range ans.Answer {
		if srv := rr.(*dns.SRV); srv.Priority == best {
			hosts[srv.Target] = true
		}
	}
	var out []netip.Addr
	for _, rr := range ans.Extra {
		if hosts[rr.Header().Name] {
			a, _ := addressOf(rr)
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
