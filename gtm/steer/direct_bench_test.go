package steer

import (
	"fmt"
	"testing"
	"time"

	"switchpoint/healthcheck"
)

// BenchmarkDirect is a new view of 1,000 names with three datacenters of four members each, as every
// change of health makes one; with 20 overrides in the second run.
func BenchmarkDirect(b *testing.B) {
	for _, words := range []int{0, 20} {
		b.Run(fmt.Sprintf("overrides=%d", words), func(b *testing.B) {
			names := make([]Name, 1000)
			for i := range names {
				names[i] = cb(pools(4, 4, 4), manual, failback, thresh)
				names[i].Name = fmt.Sprintf("cb%d.company.com", i)
			}
			refs := healthcheck.Ref(0)
			table, err := Compile(names, []string{"us", "uk", "de"}, func(healthcheck.Key) healthcheck.Ref {
				refs++
				return refs - 1
			})
			if err != nil {
				b.Fatal(err)
			}
			c := Circumstances{Now: time.Unix(1e9, 0), Operator: &Operator{}}
			for i := range words {
				c.Operator.Overrides = append(c.Operator.Overrides, Override{Pattern: fmt.Sprintf("cb%d*/us/10.0.0.1:*", i), State: "down"})
			}
			states := make([]healthcheck.Status, refs)
			for i := range states {
				states[i] = healthcheck.Status{State: up, Steady: 10 * time.Second, Load: healthcheck.Load{Active: i % 7, Capacity: 10}}
			}
			c.Status = func(r healthcheck.Ref) healthcheck.Status { return states[r] }
			var v *View
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				states[n%len(states)].State = healthcheck.State(1 + n%3)
				c.Now = c.Now.Add(time.Second)
				v = Direct(table, v, c)
			}
		})
	}
}
