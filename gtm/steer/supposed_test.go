package steer

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
)

// TestSupposedIsWhatHappens: after any past, what would be if members were down is what is when they are,
// with the same past and no demotion limit in the way: who serves by which rule, for how long, and what
// each client gets.
func TestSupposedIsWhatHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newChaos(t, rt)
		g.n.MaxDemotions = 9
		g.load(g.n)
		for range rapid.IntRange(0, 10).Draw(rt, "steps") {
			g.step()
		}
		down := rapid.SliceOfNDistinct(rapid.SampledFrom(members), 1, len(members), rapid.ID).Draw(rt, "down")
		was := func(id string) bool {
			return slices.ContainsFunc(down, func(m string) bool { return strings.HasSuffix(id, addressIn(m)) })
		}
		said := g.said
		supposed := Direct(g.table, g.view, Circumstances{Status: g.status, Operator: &said, Now: g.now, Supposed: was})
		g.set(healthcheck.Down, down...)
		before := g.view
		g.direct()
		if got, want := lineUp(supposed, 0), lineUp(g.view, 0); got != want {
			rt.Fatalf("%v down, before %s\nsupposed %s\nhappens  %s", down, lineUp(before, 0), got, want)
		}
		if got, want := supposed.TTL(0), g.view.TTL(0); got != want {
			rt.Fatalf("TTL supposed %d (%s), happens %d (%s)", got, supposed.Name(0).TTLWhy, want, g.view.Name(0).TTLWhy)
		}
		for range 10 {
			c := Client{Order: []int{0, 1, 2}, Draw: rapid.Uint64().Draw(rt, "draw")}
			if got, want := supposed.Decide(0, c).Addresses(false), g.view.Decide(0, c).Addresses(false); !slices.Equal(got, want) {
				rt.Fatalf("answer supposed %v, happens %v", got, want)
			}
		}
	})
}

// addressIn is the end of the id of a member that play calls "us1".
func addressIn(m string) string {
	dc := slices.Index([]string{"us", "uk", "de"}, m[:2])
	return "/10." + string(rune('0'+dc)) + ".0." + m[2:] + ":443"
}
