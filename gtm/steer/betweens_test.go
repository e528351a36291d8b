package steer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"switchpoint/healthcheck"
)

// between is a view made by hand of a name with one member in each of us, uk and de, whose
// weights are 1, 2 and 3. out are the datacenters that take no part, shed what the others shed.
func between(t *testing.T, how, out string, shed ...float64) *View {
	t.Helper()
	n := Name{Name: "cb.company.com", Between: how}
	for i, dc := range []string{"us", "uk", "de"} {
		n.Pools = append(n.Pools, Pool{Datacenter: dc, Weight: i + 1, Members: []Member{
			{Host: dc, Address: fmt.Sprintf("10.%d.0.1", i), Port: 443},
		}})
	}
	table, err := Compile([]Name{n}, []string{"us", "uk", "de"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &View{table: table, names: make([]nameView, 1)}
	for i, dc := range table.datacenters {
		p := poolView{in: true, serving: []int{0}, rule: "up", status: []healthcheck.Status{status(healthcheck.Up, -1)}}
		if strings.Contains(out, dc) {
			p = poolView{why: "an operator took it out", status: p.status}
		} else if i < len(shed) {
			p.shed, p.cause = shed[i], forOverload
		}
		v.names[0].pools = append(v.names[0].pools, p)
	}
	return v
}

// nearUse is a draw whose bits for a use are near a share.
func nearUse(use int, share float64) uint64 {
	for draw := uint64(0); ; draw++ {
		if got := (Client{Draw: draw}).share(use); got > share-0.004 && got < share+0.004 {
			return draw
		}
	}
}

// TestBetweenTables are the truth tables of the choice between pools.
func TestBetweenTables(t *testing.T) {
	order := []int{1, 0, 2} // uk, us, de
	f := func(want, how, out string, draw uint64, shed ...float64) {
		t.Helper()
		d := between(t, how, out, shed...).Decide(0, Client{Order: order, Draw: draw})
		got := []string{d.Datacenter() + ":"}
		for _, x := range d.Targets() {
			got = append(got, fmt.Sprintf("%s %d", strings.TrimSuffix(x.Host, "."), x.Priority))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s without %q, sheds %v: got %q, want %q", how, out, shed, text, want)
		}
		a := d.Addresses(false)
		if len(a) > 0 != (d.Datacenter() != "") || len(a) > 0 && !slices.Equal(d.Targets()[first(d.Targets())].Addresses, a) {
			t.Errorf("%s without %q: A answers %v", how, out, a)
		}
	}
	for _, how := range []string{BetweenTopology, BetweenMode} {
		f("uk: uk 0 us 10 de 20", how, "", 0)
		f("us: us 10 de 20", how, "uk", 0)
		f(":", how, "us uk de", 0)
	}
	f("us: us 0 uk 10 de 20", BetweenFailover, "", 0)
	f("uk: uk 10 de 20", BetweenFailover, "us", 0)

	f("uk: uk 0 us 10 de 20", BetweenWeighted, "", nearUse(drawPool, 0.3)) // uk 2, us 1, de 3 of 6
	f("us: us 0 uk 10 de 20", BetweenWeighted, "", nearUse(drawPool, 0.4))
	f("de: de 0 uk 10 us 20", BetweenWeighted, "", nearUse(drawPool, 0.6))
	f("de: de 0 us 20", BetweenWeighted, "uk", nearUse(drawPool, 0.6)) // uk keeps its place
	f(":", BetweenWeighted, "us uk de", 0)

	low, high := nearUse(drawShed, 0.1), nearUse(drawShed, 0.3)
	f("us: us 0 uk 10 de 20", BetweenTopology, "", low, 0, 0.2)
	f("uk: uk 0 us 10 de 20", BetweenTopology, "", high, 0, 0.2)
	f("uk: uk 0 us 10 de 20", BetweenTopology, "", low, 0.2)           // us sheds, but comes later
	f("us: us 0 uk 10 de 20", BetweenTopology, "", low, 0.2, 0.2)      // drawn 0.1 of 0.2: us keeps it
	f("de: de 0 uk 10 us 20", BetweenTopology, "", low, 0.8, 0.2)      // us sheds it as well
	f("uk: uk 0 us 10 de 20", BetweenTopology, "", low, 0.8, 0.2, 0.8) // nobody else is left
	f("de: de 0 uk 10 us 20", BetweenTopology, "", nearUse(drawShed, 0.01), 0.2, 0.2)
	f("de: de 10 us 20", BetweenTopology, "uk", low, 0.2)
	f("uk: uk 0 us 10 de 20", BetweenFailover, "", low, 0.2)
}

// first is the target of the best priority.
func first(targets []Target) int {
	best := 0
	for i, t := range targets {
		if t.Priority < targets[best].Priority {
			best = i
		}
	}
	return best
}

// TestChances pins what a person reads about chance.
func TestChances(t *testing.T) {
	f := func(want string, d Decision) {
		t.Helper()
		if got := strings.Join(d.Chances(), "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	order := []int{1, 0, 2}
	f("in uk: the rotation begins with 10.1.0.1", between(t, BetweenTopology, "").Decide(0, Client{Order: order}))
	f("between datacenters: drawn 0.60 of: uk 2/6, us 1/6, de 3/6\nin de: the rotation begins with 10.2.0.1",
		between(t, BetweenWeighted, "").Decide(0, Client{Order: order, Draw: nearUse(drawPool, 0.6)}))
	f("overload: uk sheds 20 % of its clients; drawn 0.10: us takes this one\nin us: the rotation begins with 10.0.0.1",
		between(t, BetweenTopology, "", 0, 0.2).Decide(0, Client{Order: order, Draw: nearUse(drawShed, 0.1)}))
	f("overload: uk sheds 20 % of its clients; drawn 0.30: it stays\nin uk: the rotation begins with 10.1.0.1",
		between(t, BetweenTopology, "", 0, 0.2).Decide(0, Client{Order: order, Draw: nearUse(drawShed, 0.3)}))
	f("overload: uk sheds 20 % of its clients; drawn 0.10: no other takes this one, it stays\nin uk: the rotation begins with 10.1.0.1",
		between(t, BetweenTopology, "", 0.8, 0.2, 0.8).Decide(0, Client{Order: order, Draw: nearUse(drawShed, 0.1)}))
	f("", between(t, BetweenWeighted, "us uk de").Decide(0, Client{Order: order}))

	up := []string{"up", "up", "up"}
	f("in us: drawn 0.60 of: a 1/6, b 2/6, c 3/6", oneOfThree(t, Name{Method: MethodWeighted}, near(0.6), up...))
	f("in us: drawn 0.60 of: a 4/9, b 0/9, c 5/9", oneOfThree(t, Name{Method: MethodLeastLoad}, near(0.6), "up:4", "up:0", "up:5"))
	f("in us: a is the first of the list that serves", oneOfThree(t, Name{Method: MethodFailover}, 0, up...))
	f("in us: the network 10.9.0.0/24 belongs to a", oneOfThree(t, Name{Method: MethodHash}, 0, up...))
}

// TestCandidates: every member says why it is answered or not.
func TestCandidates(t *testing.T) {
	f := func(want string, d Decision, at int) {
		t.Helper()
		c := d.Candidates()[at]
		if got := fmt.Sprintf("%s %s %v %d/%d %s", c.Datacenter, c.Host, c.Chosen, c.Priority, c.Weight, c.Why); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	d := between(t, BetweenTopology, "us").Decide(0, Client{Order: []int{1, 0, 2}})
	f("uk uk. true 0/1 chosen: up", d, 0)
	f("us us. false -1/0 left out: an operator took it out", d, 1)
	f("de de. false 20/1 serves, but the client has an earlier datacenter that serves (SRV: next priority)", d, 2)
	d = between(t, BetweenTopology, "", 0, 0.2).Decide(0, Client{Order: []int{1, 0, 2}, Draw: nearUse(drawShed, 0.1)})
	f("us us. true 0/1 chosen: up", d, 0)
	f("uk uk. false 10/1 serves, but sheds this client for overload (SRV: next priority)", d, 1)
	d = between(t, BetweenFailover, "").Decide(0, Client{Order: []int{1, 0, 2}})
	f("uk uk. false 10/1 serves, but an earlier datacenter of the list serves (SRV: next priority)", d, 1)
	d = oneOfThree(t, Name{Method: MethodFailover}, 0, "down", "up", "up")
	f("us a. false -1/0 left out: down", d, 0)
	f("us b. true 0/2 chosen: the members that are up serve", d, 2)
	f("us c. false 1/3 serves, but an earlier one in the list does too (SRV: next priority)", d, 4)
	d = oneOfThree(t, Name{Method: MethodWeighted}, near(0.9), "up", "up", "up")
	f("us a. false 0/1 serves, but the draw fell on another one (SRV: same priority)", d, 0)
	f("us c. true 0/3 chosen: the members that are up serve", d, 5)
	d = oneOfThree(t, Name{Method: MethodRoundRobin, Answers: 1}, 0, "up", "up", "up")
	f("us b. false 0/2 serves, but its turn has not come (SRV: same priority)", d, 2)
}

// TestFallback: the fallback addresses are answered by family, and nothing by SRV.
func TestFallback(t *testing.T) {
	n := Name{
		Name: "cb.company.com", Monitor: "m", AllDown: AllDownFallback, Fallback: []string{"192.0.2.1", "2001:db8::1", "192.0.2.2"},
		Pools: []Pool{{Datacenter: "us", Members: []Member{{Host: "a", Address: "10.0.0.1", Port: 443}}}},
	}
	d := viewOf(t, n, func(string) healthcheck.Status { return status(healthcheck.Down, -1) }).Decide(0, Client{Order: []int{0, 1, 2}, Draw: 1})
	want := []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")}
	if got := d.Addresses(false); !slices.Equal(got, want) {
		t.Errorf("A: %v", got)
	}
	if got := d.Addresses(true); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("2001:db8::1")}) {
		t.Errorf("AAAA: %v", got)
	}
	if got := d.Targets(); len(got) != 0 || d.Datacenter() != "" || d.Policy() != AllDownFallback {
		t.Errorf("SRV: %v, datacenter %q, policy %q", got, d.Datacenter(), d.Policy())
	}
}
