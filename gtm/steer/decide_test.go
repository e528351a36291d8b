package steer

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"switchpoint/healthcheck"
)

// one makes a decision about a name with one pool, of which nobody knows the health.
func one(t *testing.T, draw uint64, members ...Member) Decision {
	t.Helper()
	n := Name{Name: "cb.company.com", Pools: []Pool{{Datacenter: "us", Members: members}}}
	table, err := Compile([]Name{n}, []string{"us"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := Direct(table, nil, Circumstances{Now: time.Unix(1e9, 0)})
	return v.Decide(0, Client{Order: []int{0}, Draw: draw})
}

// TestRotationIsUniform: over all draws every address comes first equally often, and the set
// is always whole.
func TestRotationIsUniform(t *testing.T) {
	var members []Member
	for i := range 5 {
		members = append(members, Member{Address: fmt.Sprintf("10.0.0.%d", i)})
	}
	first := map[netip.Addr]int{}
	for draw := range uint64(1000) {
		got := one(t, draw, members...).Addresses(false)
		if len(got) != 5 {
			t.Fatalf("draw %d: %v", draw, got)
		}
		first[got[0]]++
	}
	for a, n := range first {
		if n != 200 {
			t.Errorf("%s came first %d times of 1000, want 200", a, n)
		}
	}
}

// TestMembersAtOneAddress: two brokers at one address are one A record and two SRV records.
func TestMembersAtOneAddress(t *testing.T) {
	d := one(t, 1, Member{Host: "h", Address: "10.0.0.1", Port: 1}, Member{Host: "h", Address: "10.0.0.1", Port: 2})
	if got := d.Addresses(false); len(got) != 1 {
		t.Errorf("addresses: %v", got)
	}
	if got := d.Targets(); len(got) != 2 {
		t.Errorf("targets: %v", got)
	}
}

// TestWeights: what the SRV weights of the members that serve are.
func TestWeights(t *testing.T) {
	f := func(method string, want []uint16, weights, spare []int) {
		t.Helper()
		g := group{poolView: &poolView{}, pool: &pool{}}
		for i, w := range weights {
			g.pool.members = append(g.pool.members, member{weight: w})
			load := healthcheck.Load{Active: 1, Capacity: 1 + spare[i]}
			if spare[i] < 0 {
				load = healthcheck.Load{Active: -1, Capacity: -1}
			}
			g.status = append(g.status, healthcheck.Status{State: healthcheck.Up, Load: load})
			g.serving = append(g.serving, i)
		}
		var l listing
		l.begin(g, method)
		got := make([]uint16, len(weights))
		for i := range got {
			got[i] = l.scaled(i)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s, weights %v, spare %v: got %v, want %v", method, weights, spare, got, want)
		}
	}
	for _, method := range []string{MethodRoundRobin, MethodFailover, MethodLeastLoad} {
		f(method, []uint16{1, 3}, []int{1, 3}, []int{-1, -1})         // nobody says
		f(method, []uint16{1, 3}, []int{1, 3}, []int{50, -1})         // only one says: no common unit
		f(method, []uint16{50, 7}, []int{1, 3}, []int{50, 7})         // all say
		f(method, []uint16{50, 0}, []int{1, 3}, []int{50, 0})         // a full one is the last resort
		f(method, []uint16{1, 3}, []int{1, 3}, []int{0, 0})           // all full: as configured
		f(method, []uint16{65535, 655}, []int{1, 1}, []int{1e7, 1e5}) // scaled together
		f(method, []uint16{65535}, []int{1}, []int{math.MaxInt32})
	}
	f(MethodWeighted, []uint16{1, 3}, []int{1, 3}, []int{50, 7}) // the admin's word
	f(MethodHash, []uint16{1, 3}, []int{1, 3}, []int{50, 7})     // load moves no client
}
