package choice

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestStandings: what is said of the members is what Pick does with them.
func TestStandings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		q.Persisted = -1
		for i := range q.Loads {
			q.Loads[i].Tried = false
		}
		standings, how := Standings(&q)
		var candidates []int
		for i, s := range standings {
			if s == Candidate {
				candidates = append(candidates, i)
			}
		}
		i, r := Pick(&q)
		if r.How != how || (i < 0) != (len(candidates) == 0) || i >= 0 && standings[i] != Candidate {
			t.Fatalf("%v, %s; Pick: %d, %s", standings, how, i, r.How)
		}
		costs := CostsOf(&q, candidates)
		if best := costs.Lowest(candidates); best >= 0 && !(costs.Of[i] <= costs.Of[best]*costs.Equal) {
			t.Fatalf("%s chose %d that costs %v, the lowest is %v", q.Method, i, costs.Of[i], costs.Of[best])
		}
	})
}

// TestStandingsTell has one member of each standing.
func TestStandingsTell(t *testing.T) {
	q := Question{
		Method: LeastConnectionsName, States: states(down, up, up, up, up), Weights: []int{1, 1, 1, 1, 1},
		Priorities: []int{5, 5, 5, 0, 5}, MinActive: 1,
		Loads: []Load{{}, {Shunned: true}, {Full: true}, {}, {InFlight: 3}},
	}
	got, how := Standings(&q)
	if want := []Standing{NotServing, Avoided, Crowded, InReserve, Candidate}; !slices.Equal(got, want) || how != ByMethod {
		t.Errorf("%v, %s", got, how)
	}
	costs := CostsOf(&q, []int{4})
	if text := costs.Text(4); text != "3.00 in flight for its weight" {
		t.Error(text)
	}
}
