package steer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
)

// oneOfThree is a decision in one datacenter with members a, b and c. health says for each "up",
// "down" or "over", with what it has left behind a colon.
func oneOfThree(t *testing.T, n Name, draw uint64, health ...string) Decision {
	t.Helper()
	n.Name, n.Monitor = "cb.company.com", "m"
	p := Pool{Datacenter: "us"}
	for i, host := range []string{"a", "b", "c"} {
		for _, addr := range []string{"10.0.0.%d", "2001:db8::%d"} {
			p.Members = append(p.Members, Member{Host: host, Address: fmt.Sprintf(addr, i+1), Port: 443, Weight: i + 1})
		}
	}
	n.Pools = []Pool{p}
	v := viewOf(t, n, func(addr string) healthcheck.Status {
		at := netip.MustParseAddrPort(addr).Addr().AsSlice()
		word, left, known := strings.Cut(health[at[len(at)-1]-1], ":")
		spare := -1
		if known {
			fmt.Sscan(left, &spare)
		}
		return status(map[string]healthcheck.State{
			"up": healthcheck.Up, "down": healthcheck.Down, "over": healthcheck.Overloaded,
		}[word], spare)
	})
	return v.Decide(0, Client{Order: []int{0, 1, 2}, Draw: draw, Network: netip.MustParsePrefix("10.9.0.0/24")})
}

// shown is a decision in short: the last numbers of A and AAAA, and the SRV targets as
// host=priority/weight.
func shown(d Decision) string {
	var a, b, srv []string
	for _, x := range d.Addresses(false) {
		a = append(a, fmt.Sprint(x.As4()[3]))
	}
	for _, x := range d.Addresses(true) {
		b = append(b, fmt.Sprint(x.As16()[15]))
	}
	for _, t := range d.Targets() {
		srv = append(srv, fmt.Sprintf("%s%d/%d", t.Host, t.Priority, t.Weight))
	}
	return strings.Join(a, "") + " " + strings.Join(b, "") + " " + strings.Join(srv, " ")
}

// TestMethodTables are the truth tables of the methods.
func TestMethodTables(t *testing.T) {
	f := func(want string, n Name, draw uint64, health ...string) {
		t.Helper()
		if got := shown(oneOfThree(t, n, draw, health...)); got != want {
			t.Errorf("%s, answers %d, draw %d, %v:\n got %s\nwant %s", n.Method, n.Answers, draw, health, got, want)
		}
	}
	up := []string{"up", "up", "up"}
	rr := Name{Method: MethodRoundRobin}
	f("123 123 a.0/1 b.0/2 c.0/3", rr, 0, up...)
	f("312 312 a.0/1 b.0/2 c.0/3", rr, 2, up...)
	f("13 13 a.0/1 c.0/3", rr, 0, "up", "down", "up")
	f("13 13 a.0/7 c.0/0", rr, 0, "up:7", "down:9", "up:0")
	f("31 31 a.0/1 b.0/2 c.0/3", Name{Method: MethodRoundRobin, Answers: 2}, 2, up...)
	f("231 231 b.0/2 c.0/3 a.0/1", rr, 0, "over", "over:8", "over:0") // not comparable
	f("213 213 b.0/8 a.0/1 c.0/0", rr, near(0.8), "over:1", "over:8", "over:0")
	f("123 123 b.0/8 a.0/1 c.0/0", rr, near(0.9), "over:1", "over:8", "over:0")

	one := Name{Method: MethodFailover}
	f("1 1 a.0/1 b.1/2 c.2/3", one, 0, up...)
	f("2 2 b.0/2 c.1/3", one, 5, "down", "up", "up")
	f("12 12 a.0/1 b.0/2 c.1/3", Name{Method: MethodFailover, Answers: 2}, 0, up...)
	f("2 2 b.0/8 c.1/3 a.2/1", one, 0, "over:1", "over:8", "over:3")

	weighted := Name{Method: MethodWeighted}
	f("1 1 a.0/1 b.0/2 c.0/3", weighted, near(0.15), up...)
	f("2 2 a.0/1 b.0/2 c.0/3", weighted, near(0.2), up...)
	f("2 2 a.0/1 b.0/2 c.0/3", weighted, near(0.49), up...)
	f("3 3 a.0/1 b.0/2 c.0/3", weighted, near(0.51), up...)
	f("3 3 a.0/1 b.0/2 c.0/3", weighted, near(0.9), "up:9", "up:0", "up:0") // the admin's word counts
	f("3 3 b.0/2 c.0/3", weighted, near(0.9), "down", "up", "up")
	f("1 1 a.0/9 b.0/0 c.0/0", weighted, near(0.9), "over:9", "over:0", "over:0")

	least := Name{Method: MethodLeastLoad}
	f("1 1 a.0/9 b.0/0 c.0/0", least, near(0.99), "up:9", "up:0", "up:0")
	f("3 3 a.0/1 b.0/2 c.0/3", least, near(0.9), "up:9", "up", "up:0") // not comparable
	f("3 3 a.0/1 b.0/2 c.0/3", least, near(0.9), "up:0", "up:0", "up:0")
	f("213 213 a.0/0 b.0/9 c.0/0", Name{Method: MethodLeastLoad, Answers: 3}, 1, "up:0", "up:9", "up:0")
	f("21 21 a.0/0 b.0/9 c.0/0", Name{Method: MethodLeastLoad, Answers: 2}, 1, "up:0", "up:9", "up:0")
}

// near is a draw whose first choice between members is near a share.
func near(share float64) uint64 { return nearUse(drawMember, share) }

// TestHashMovesOnlyTheClientsOfTheMember: whichever members serve, when one goes only the
// networks that were at it get another member; and A, AAAA and the best SRV priority are one host.
func TestHashMovesOnlyTheClientsOfTheMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Name{Name: "cb.company.com", Monitor: "m", Method: MethodHash, Pools: []Pool{{Datacenter: "us"}}}
		hosts := rapid.IntRange(2, 9).Draw(t, "hosts")
		for i := range hosts {
			w := rapid.IntRange(1, 5).Draw(t, "weight")
			for _, addr := range []string{"10.0.0.%d", "2001:db8::%d"} {
				m := Member{Host: fmt.Sprintf("h%d", i), Address: fmt.Sprintf(addr, i), Port: 443, Weight: w}
				n.Pools[0].Members = append(n.Pools[0].Members, m)
			}
		}
		gone := rapid.IntRange(0, hosts-1).Draw(t, "gone")
		all := viewOf(t, n, func(string) healthcheck.Status { return status(healthcheck.Up, -1) })
		fewer := viewOf(t, n, func(addr string) healthcheck.Status {
			raw := netip.MustParseAddrPort(addr).Addr().AsSlice()
			if int(raw[len(raw)-1]) == gone {
				return status(healthcheck.Down, -1)
			}
			return status(healthcheck.Up, -1)
		})
		for range 50 {
			c := Client{
				Order: []int{0, 1, 2}, Draw: rapid.Uint64().Draw(t, "draw"),
				Network: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, rapid.Byte().Draw(t, "b"), rapid.Byte().Draw(t, "c"), 0}), 24),
			}
			before, after := hostOf(t, all.Decide(0, c)), hostOf(t, fewer.Decide(0, c))
			if before != gone && after != before {
				t.Fatalf("%s moved from h%d to h%d when h%d went", c.Network, before, after, gone)
			}
			if after == gone {
				t.Fatalf("%s is at h%d, which is down", c.Network, gone)
			}
			c.Draw++
			if again := hostOf(t, all.Decide(0, c)); again != before {
				t.Fatalf("%s is at h%d and at h%d", c.Network, before, again)
			}
		}
	})
}

// hostOf is the host that all of a decision points at.
func hostOf(t *rapid.T, d Decision) int {
	a, b, srv := d.Addresses(false), d.Addresses(true), d.Targets()
	if len(a) != 1 || len(b) != 1 {
		t.Fatalf("answers %v and %v", a, b)
	}
	host := int(a[0].As4()[3])
	if int(b[0].As16()[15]) != host || srv[0].Host != fmt.Sprintf("h%d.", host) || !slices.Equal(srv[0].Addresses, []netip.Addr{a[0], b[0]}) {
		t.Fatalf("A %v, AAAA %v, SRV %+v", a, b, srv[0])
	}
	for _, other := range srv[1:] {
		if other.Priority <= srv[0].Priority {
			t.Fatalf("SRV %+v", srv)
		}
	}
	return host
}

// TestUnits: what makes one machine of members.
func TestUnits(t *testing.T) {
	f := func(want []int, members ...Member) {
		t.Helper()
		table, err := Compile([]Name{{Name: "n", Pools: []Pool{{Datacenter: "us", Members: members}}}}, []string{"us"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, m := range table.names[0].pools[0].members {
			got = append(got, m.unit)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: got %v, want %v", members, got, want)
		}
	}
	h := func(host, addr string, port uint16) Member { return Member{Host: host, Address: addr, Port: port} }
	f([]int{0, 0, 1}, h("a", "10.0.0.1", 1), h("A.", "2001:db8::1", 1), h("b", "10.0.0.2", 1)) // both families of a host
	f([]int{0, 0, 1, 1}, h("a", "10.0.0.1", 1), h("a", "10.0.0.1", 2), h("a", "10.0.0.2", 1), h("a", "10.0.0.2", 2))
	f([]int{0, 1, 0, 2}, h("a", "10.0.0.1", 1), h("a", "10.0.0.2", 1), h("a", "2001:db8::1", 1), h("", "10.0.0.3", 1))
	f([]int{0, 1}, h("", "10.0.0.1", 1), h("", "2001:db8::1", 1)) // nobody says that they are one
}

// TestDecisionIsLean: deciding and giving the addresses allocates the decision and the answer.
func TestDecisionIsLean(t *testing.T) {
	c := Client{Order: []int{1, 2, 0}, Network: netip.MustParsePrefix("10.1.2.0/24"), Draw: 7}
	for _, method := range []string{MethodRoundRobin, MethodWeighted, MethodFailover, MethodHash, MethodLeastLoad} {
		for _, between := range []string{BetweenTopology, BetweenFailover, BetweenWeighted} {
			v := threeByFour(t, method, between)
			if n := testing.AllocsPerRun(100, func() { v.Decide(0, c).Addresses(false) }); n > 2 {
				t.Errorf("%s, %s: %v allocations", method, between, n)
			}
		}
	}
}

// TestPriorityBand: however many members a pool has, its SRV priorities stay below those of the
// next pool.
func TestPriorityBand(t *testing.T) {
	n := Name{Name: "cb.company.com", Method: MethodFailover}
	for i, dc := range []string{"us", "uk"} {
		p := Pool{Datacenter: dc}
		for j := range 12 {
			p.Members = append(p.Members, Member{Host: fmt.Sprintf("h%d.%s", j, dc), Address: fmt.Sprintf("10.%d.0.%d", i, j), Port: 443})
		}
		n.Pools = append(n.Pools, p)
	}
	d := viewOf(t, n, nil).Decide(0, Client{Order: []int{0, 1, 2}})
	var got []uint16
	for _, x := range d.Targets() {
		got = append(got, x.Priority)
	}
	want := []uint16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 19, 19}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
