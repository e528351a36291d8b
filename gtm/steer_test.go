package gtm

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// TestServicesAgreeWithAddresses: with every method, between pools in every way, while health
// flips at random and the director remembers: what A and AAAA answer stands among the members of
// the best SRV priority, and is all of them where the method answers all; the record that points at
// the name carries just these addresses; nobody who is down is answered while another member of the
// datacenter is up.
func TestServicesAgreeWithAddresses(t *testing.T) {
	covers.Req(t, "GT2")
	rapid.Check(t, func(t *rapid.T) {
		cfg, health := drawConfig(t)
		keys := cfg.Checks()
		table, err := Compile(cfg, func(k healthcheck.Key) healthcheck.Ref { return healthcheck.Ref(slices.Index(keys, k)) })
		if err != nil {
			t.Fatal(err)
		}
		f := flips{t: t, table: table, keys: keys, health: health, now: time.Unix(1e9, 0), operator: &steer.Operator{}}
		for range rapid.IntRange(1, 6).Draw(t, "flips") {
			f.flip()
			for range 3 {
				f.compare(cfg.Names[0])
			}
		}
	})
}

// flips is a name in the course of time.
type flips struct {
	t        *rapid.T
	table    *Table
	keys     []healthcheck.Key
	health   map[string]healthcheck.Status
	operator *steer.Operator
	now      time.Time
	view     *steer.View
}

// flip lets time pass, changes some states and directs.
func (f *flips) flip() {
	f.now = f.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(f.t, "seconds")) * time.Second)
	for _, k := range f.keys {
		if rapid.Bool().Draw(f.t, "flips") {
			f.health[k.Address] = drawStatus(f.t)
		}
	}
	if rapid.IntRange(0, 3).Draw(f.t, "switch") == 0 {
		f.operator = &steer.Operator{Version: f.operator.Version + 1, Mode: rapid.SampledFrom([]string{"primary", "dr"}).Draw(f.t, "mode")}
	}
	f.view = steer.Direct(f.table.steering, f.view, steer.Circumstances{
		Now: f.now, Operator: f.operator, Status: func(r healthcheck.Ref) healthcheck.Status { return f.health[f.keys[r].Address] },
	})
}

// compare asks in all forms with one draw.
func (f *flips) compare(n Name) {
	t := f.t
	q := Question{
		Client: netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 4).Draw(t, "subnet")), rapid.Byte().Draw(t, "net"), 1}),
		Draw:   rapid.Uint64().Draw(t, "draw"),
	}
	ask := func(name string, typ uint16) Answer {
		q.Name, q.Type = name, typ
		return Resolve(f.table, f.view, q)
	}
	a := ask("cb.c.", typeA)
	addrs := addressSet(append(a.Answer, ask("cb.c.", typeAAAA).Answer...))
	if byName := addressSet(ask("_n._tcp.c.", typeSRV).Extra); !slices.Equal(addrs, byName) {
		t.Fatalf("A and AAAA answer %v, the record that points at the name has %v", addrs, byName)
	}
	if a.Reason.AllDown == steer.AllDownFallback {
		if got := ask("_s._tcp.c.", typeSRV); len(got.Answer) != 0 {
			t.Fatalf("SRV with the fallback in force: %v", got.Answer)
		}
		return
	}
	best := bestTargets(ask("_s._tcp.c.", typeSRV))
	for _, addr := range addrs {
		if !slices.Contains(best, addr) {
			t.Fatalf("A and AAAA answer %v, the best SRV priority %v", addrs, best)
		}
	}
	all := n.Method == steer.MethodRoundRobin && n.Answers == 0
	if (all || len(addrs) == 0) && !slices.Equal(addrs, best) {
		t.Fatalf("A and AAAA answer %v, the best SRV priority %v", addrs, best)
	}
	f.noneDown(n, addrs)
}

// noneDown checks that no member that is down is answered beside one of its datacenter that is up.
func (f *flips) noneDown(n Name, addrs []netip.Addr) {
	for _, p := range n.Pools {
		up, down := false, ""
		for _, m := range p.Members {
			st := f.health[m.Key("m").Address].State
			up = up || st == healthcheck.Up
			if st == healthcheck.Down && slices.Contains(addrs, netip.MustParseAddr(m.Address)) {
				down = m.Address
			}
		}
		if up && down != "" {
			f.t.Fatalf("%s is down and was answered while others of %s are up", down, p.Datacenter)
		}
	}
}

// drawConfig makes a name with random pools and the health of every member.
func drawConfig(t *rapid.T) (Config, map[string]healthcheck.Status) {
	dcs := []string{"us", "uk", "de"}
	oneOf := func(what string, words ...string) string { return rapid.SampledFrom(words).Draw(t, what) }
	n := Name{
		Name: "cb.c", Monitor: "m",
		SRV:     []Service{{Name: "_s._tcp.c"}, {Name: "_n._tcp.c", Target: steer.TargetName}},
		Method:  oneOf("method", steer.MethodRoundRobin, steer.MethodWeighted, steer.MethodFailover, steer.MethodHash, steer.MethodLeastLoad),
		Between: oneOf("between", steer.BetweenTopology, steer.BetweenFailover, steer.BetweenWeighted, steer.BetweenMode),
		AllDown: oneOf("all down", steer.AllDownLastGood, steer.AllDownAll, steer.AllDownFallback, steer.AllDownNoData, steer.AllDownServFail),
		Answers: rapid.IntRange(0, 3).Draw(t, "answers"), MaxDemotions: rapid.IntRange(0, 3).Draw(t, "demotions"),
		UpThresh: rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "threshold"), ManualResume: rapid.Bool().Draw(t, "manual"),
		FailbackDelay: time.Duration(rapid.IntRange(0, 60).Draw(t, "delay")) * time.Second,
	}
	if n.AllDown == steer.AllDownFallback {
		n.Fallback = []string{"192.0.2.1", "2001:db8:f::1", "192.0.2.2"}
	}
	cfg := Config{
		Listen: []string{"127.0.0.1:0"}, Datacenters: dcs, Datacenter: oneOf("own", dcs...),
		Zones: []Zone{{Origin: "c", NS: []string{"ns.example.net"}}},
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "prefixes") {
		cfg.Topology = append(cfg.Topology, Topology{
			Prefix: fmt.Sprintf("10.%d.0.0/16", i), Datacenters: rapid.SliceOfNDistinct(rapid.SampledFrom(dcs), 1, 3, rapid.ID).Draw(t, "order"),
		})
	}
	health := map[string]healthcheck.Status{}
	for i := range rapid.IntRange(1, 3).Draw(t, "pools") {
		n.Pools = append(n.Pools, drawPool(t, i, dcs[i], health))
		if n.Between == steer.BetweenWeighted {
			n.Pools[i].Weight = rapid.IntRange(1, 5).Draw(t, "pool weight")
		}
	}
	if n.Between == steer.BetweenMode && len(n.Pools) == 1 {
		n.Between = steer.BetweenTopology
	} else if n.Between == steer.BetweenMode {
		n.Pools[rapid.IntRange(0, len(n.Pools)-1).Draw(t, "dr")].Mode = steer.ModeDR
	}
	cfg.Names = []Name{n}
	return cfg, health
}

// drawPool makes the i-th pool. Its hosts have one or more addresses of one or both families.
func drawPool(t *rapid.T, i int, dc string, health map[string]healthcheck.Status) Pool {
	p := Pool{Datacenter: dc}
	for j := range rapid.IntRange(1, 4).Draw(t, "members") {
		addr := netip.AddrFrom4([4]byte{10, 100, byte(i), byte(j)})
		if rapid.Bool().Draw(t, "ipv6") {
			addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i), byte(j)})
		}
		m := Member{
			Host:    fmt.Sprintf("h%d.%s.c", rapid.IntRange(0, j).Draw(t, "host"), dc),
			Address: addr.String(), Port: 443, Weight: rapid.IntRange(1, 3).Draw(t, "weight"),
		}
		p.Members = append(p.Members, m)
		health[m.Key("m").Address] = drawStatus(t)
	}
	return p
}

func drawStatus(t *rapid.T) healthcheck.Status {
	return healthcheck.Status{
		State: healthcheck.State(rapid.IntRange(0, int(healthcheck.Maintenance)).Draw(t, "state")),
		Load:  healthcheck.Load{Active: 0, Capacity: rapid.IntRange(-1, 9).Draw(t, "capacity")},
	}
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
	return addressSet(slices.DeleteFunc(ans.Extra, func(rr dns.RR) bool { return !hosts[rr.Header().Name] }))
}

// addressSet are the addresses of A and AAAA records, sorted.
func addressSet(rrs []dns.RR) []netip.Addr {
	var out []netip.Addr
	for _, rr := range rrs {
		a, _ := addressOf(rr)
		out = append(out, a)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
