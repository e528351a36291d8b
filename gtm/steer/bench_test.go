package steer

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"switchpoint/healthcheck"
)

// BenchmarkAnswer is one decision for three datacenters with four members each, and its A
// records: what a query costs besides DNS.
func BenchmarkAnswer(b *testing.B) {
	for _, method := range []string{MethodRoundRobin, MethodWeighted, MethodFailover, MethodHash, MethodLeastLoad} {
		b.Run(method, func(b *testing.B) {
			v := threeByFour(b, method, BetweenTopology)
			c := Client{Order: []int{1, 2, 0}, Network: netip.MustParsePrefix("10.1.2.0/24")}
			b.ReportAllocs()
			for b.Loop() {
				c.Draw += golden
				d := v.Decide(0, c)
				if len(d.Addresses(false)) == 0 {
					b.Fatal("no address")
				}
			}
		})
	}
}

// threeByFour is the view of a name with three datacenters of four members, all up, all with
// capacity left.
func threeByFour(t testing.TB, method, between string) *View {
	t.Helper()
	dcs := []string{"us", "uk", "de"}
	n := Name{Name: "cb.company.com", Monitor: "m", Method: method, Between: between}
	for i, dc := range dcs {
		p := Pool{Datacenter: dc}
		for j := range 4 {
			p.Members = append(p.Members, Member{
				Host: fmt.Sprintf("lb%d.%s.company.com", j, dc), Address: fmt.Sprintf("10.%d.0.%d", i, j), Port: 443, Weight: j + 1,
			})
		}
		n.Pools = append(n.Pools, p)
	}
	return viewOf(t, n, func(string) healthcheck.Status { return status(healthcheck.Up, 10) })
}

// viewOf is the view of one name with datacenters us, uk and de; health is asked by address:port.
func viewOf(t fataler, n Name, health func(string) healthcheck.Status) *View {
	t.Helper()
	var keys []healthcheck.Key
	table, err := Compile([]Name{n}, []string{"us", "uk", "de"}, func(k healthcheck.Key) healthcheck.Ref {
		keys = append(keys, k)
		return healthcheck.Ref(len(keys) - 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	return Direct(table, nil, Circumstances{Now: time.Unix(1e9, 0), Status: func(r healthcheck.Ref) healthcheck.Status {
		return health(keys[r].Address)
	}})
}

// status is a state with so much capacity left; -1: it does not say.
func status(s healthcheck.State, spare int) healthcheck.Status {
	if spare < 0 {
		return healthcheck.Status{State: s, Load: healthcheck.Load{Active: -1, Capacity: -1}}
	}
	return healthcheck.Status{State: s, Load: healthcheck.Load{Active: 1, Capacity: 1 + spare}}
}

// fataler is what tests, benchmarks and properties have in common.
type fataler interface {
	Helper()
	Fatal(...any)
}
