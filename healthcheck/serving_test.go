package healthcheck

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"switchpoint/internal/covers"
)

func TestServing(t *testing.T) {
	up := func(mode string) Status { return Status{State: Up, Load: Load{Active: -1, Capacity: -1, Mode: mode}} }
	over := func(active, capacity int) Status {
		return Status{State: Overloaded, Load: Load{Active: active, Capacity: capacity}}
	}
	unknown := Status{Load: noLoad}
	down, drain, maint := Status{State: Down}, Status{State: Draining}, Status{State: Maintenance}
	f := func(states []Status, want []int, reason string) {
		t.Helper()
		got, why := Serving(nil, states)
		if !slices.Equal(got, want) || why != reason {
			t.Errorf("got %v (%s), want %v (%s)", got, why, want, reason)
		}
	}
	f(nil, nil, reasonEmpty)
	f([]Status{up(""), up("normal")}, []int{0, 1}, reasonUp)
	f([]Status{up("hostcache"), up("normal"), up("")}, []int{1, 2}, reasonNormal)
	f([]Status{up("hostcache"), up("leased")}, []int{0, 1}, reasonUp)
	f([]Status{up("leased"), up("hostcache, normal")}, []int{1}, reasonNormal)
	f([]Status{up("hostcache"), over(0, 100), unknown}, []int{0}, reasonUp)
	f([]Status{over(60, 64), over(10, 64), over(-1, -1), over(64, 64), over(10, 64)}, []int{1, 4, 0, 3, 2}, reasonOverloaded)
	f([]Status{down, over(64, 64), unknown, drain}, []int{1}, reasonOverloaded)
	f([]Status{down, unknown, drain, unknown, maint}, []int{1, 3}, reasonUnknown)
	f([]Status{down, drain, maint}, nil, reasonNone)
}

func TestServingAppendsAndDoesNotAllocate(t *testing.T) {
	states := []Status{{State: Overloaded, Load: Load{Active: 1, Capacity: 2}}, {State: Overloaded, Load: Load{Active: 1, Capacity: 9}}}
	got, _ := Serving([]int{7}, states)
	if !slices.Equal(got, []int{7, 1, 0}) {
		t.Errorf("got %v", got)
	}
	dst := make([]int, 0, 8)
	states = append(states, Status{State: Up, Load: Load{Mode: "leased,normal"}}, Status{State: Up, Load: Load{Mode: "leased"}})
	if n := testing.AllocsPerRun(100, func() { _, _ = Serving(dst[:0], states) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// HK4: overloaded never empties a pool, and nothing that must not serve ever does.
func TestServingProperty(t *testing.T) {
	covers.Req(t, "HK4")
	rapid.Check(t, func(t *rapid.T) {
		states := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Status {
			return Status{
				State: State(rapid.IntRange(int(Unknown), int(Maintenance)).Draw(t, "state")),
				Load:  Load{Active: rapid.IntRange(-1, 9).Draw(t, "active"), Capacity: rapid.IntRange(-1, 9).Draw(t, "capacity")},
			}
		}), 0, 12).Draw(t, "states")
		idx, reason := Serving(nil, states)
		alive := slices.ContainsFunc(states, func(s Status) bool { return s.State <= Overloaded })
		if alive != (len(idx) > 0) || reason == "" {
			t.Fatalf("%v serve of %v: %q", idx, states, reason)
		}
		for i, at := range idx {
			if states[at].State != states[idx[0]].State || states[at].State > Overloaded {
				t.Fatalf("mixed or forbidden states serve: %v of %v", idx, states)
			}
			if i > 0 && states[at].State == Overloaded && states[at].Load.Spare() > states[idx[i-1]].Load.Spare() {
				t.Fatalf("not by spare capacity: %v of %v", idx, states)
			}
		}
	})
}
