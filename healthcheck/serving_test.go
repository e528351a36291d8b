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
	work := func(s Status, active, capacity int) Status {
		s.Load.Active, s.Load.Capacity = active, capacity
		return s
	}
	// The normal ones carry the work of all, or they do not.
	f([]Status{work(up("normal"), 30, 64), work(up("hostcache"), 33, 64)}, []int{0}, reasonNormal)
	f([]Status{work(up("normal"), 30, 64), work(up("hostcache"), 34, 64)}, []int{0, 1}, reasonTooMuch)
	f([]Status{work(up("normal"), 0, 64), work(up("hostcache"), 64, 64)}, []int{0, 1}, reasonTooMuch)
	f([]Status{work(up("normal"), 64, 64), up("leased")}, []int{0, 1}, reasonTooMuch)
	f([]Status{work(up("normal"), 0, 0), up("leased")}, []int{0, 1}, reasonTooMuch)
	f([]Status{work(up("normal"), 64, 64), up("normal"), up("leased")}, []int{0, 1}, reasonNormal)
	f([]Status{work(up("normal"), -1, 1), work(up("leased"), -1, 0)}, []int{0}, reasonNormal)
	f([]Status{work(up("normal"), 0, 64), work(over(0, 0), 70, 64), up("leased")}, []int{0, 2}, reasonTooMuch)
	f([]Status{work(up("normal"), 1<<31-1, 1<<31-1), work(up("leased"), 1<<31-1, 0)}, []int{0, 1}, reasonTooMuch)
	// Who says no mode, as a stale state from before a restart, comes neither before the others nor after.
	f([]Status{up(""), up("hostcache"), up("leased")}, []int{0, 1, 2}, reasonUp)
	f([]Status{up(""), up("hostcache"), up("normal")}, []int{0, 2}, reasonNormal)
	f([]Status{up(""), up("hostcache"), work(up("normal"), 64, 64)}, []int{0, 1, 2}, reasonTooMuch)
	f([]Status{up(""), up("normal"), down}, []int{0, 1}, reasonUp)
	// Who steps aside is not merely busy.
	aside := over(0, 64)
	aside.Load.Mode = "draining"
	f([]Status{aside, over(90, 64)}, []int{1}, reasonOverloaded)
	f([]Status{aside, down, aside}, []int{0, 2}, reasonOverloaded)
	f([]Status{aside, up("hostcache")}, []int{1}, reasonUp)

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
	for _, capacity := range []int{0, 9} {
		states[2].Load.Capacity = capacity
		if n := testing.AllocsPerRun(100, func() { _, _ = Serving(dst[:0], states) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
	if all, _ := Widened([]int{7}, states); !slices.Equal(all, []int{7, 2, 3}) {
		t.Errorf("got %v", all)
	}
}

// HK4: overloaded never empties a pool, and nothing that must not serve ever does.
func TestServingProperty(t *testing.T) {
	covers.Req(t, "HK4")
	rapid.Check(t, func(t *rapid.T) {
		states := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Status {
			return Status{
				State: State(rapid.IntRange(int(Unknown), int(Maintenance)).Draw(t, "state")),
				Load: Load{
					Active: rapid.IntRange(-1, 9).Draw(t, "active"), Capacity: rapid.IntRange(-1, 9).Draw(t, "capacity"),
					Mode: rapid.SampledFrom([]string{"", "normal", "hostcache", "leased,normal", "draining", "x"}).Draw(t, "mode"),
				},
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
		if preferred := reason == reasonNormal; preferred != (len(idx) > 0 && states[idx[0]].State == Up && len(idx) < count(states, isUp)) {
			t.Fatalf("%v of %v: %s", idx, states, reason)
		}
	})
}
