package choice

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// rule is one question about a rule of Pick, and its answer.
type rule struct {
	name string
	q    Question
	want int
	how  How
}

func playRules(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			q := r.q
			q.Method = LeastResponseTimeName
			if q.Loads == nil {
				q.Loads = make([]Load, len(q.States))
			}
			q.Weights = make([]int, len(q.States))
			if got, why := Pick(&q); got != r.want || why.How != r.how {
				t.Errorf("Pick = %d, %q; want %d, %q", got, why.How, r.want, r.how)
			}
		})
	}
}

const (
	up   = healthcheck.Up
	over = healthcheck.Overloaded
	down = healthcheck.Down
	unkn = healthcheck.Unknown
	drai = healthcheck.Draining
	main = healthcheck.Maintenance
)

// TestBonds: where a client stays, and where it does not.
func TestBonds(t *testing.T) {
	covers.Req(t, "HK4")
	other := states(up, up)
	other[0].Load.Mode, other[1].Load.Mode = "normal", "hostcache"
	playRules(t, []rule{
		{"loose: up", Question{States: states(up, up), Persisted: 1}, 1, Persisted},
		{"loose: leaves the overloaded", Question{States: states(up, over), Persisted: 1}, 0, ByMethod},
		{"loose: overloaded are all there is", Question{States: states(over, over), Persisted: 1}, 1, Persisted},
		{"loose: stays while it drains", Question{States: states(up, drai), Persisted: 1}, 1, PersistedDraining},
		{"loose: drains, and nobody else serves", Question{States: states(down, drai), Persisted: 1}, 1, PersistedDraining},
		{"loose: goes to the members in mode normal", Question{States: other, Persisted: 1}, 0, ByMethod},
		{"loose: down", Question{States: states(up, down), Persisted: 1}, 0, ByMethod},
		{"loose: maintenance", Question{States: states(up, main), Persisted: 1}, 0, ByMethod},
		{"loose: full", Question{States: states(up, up), Persisted: 1, Loads: []Load{{}, {Full: true}}}, 0, ByMethod},
		{"loose: full while it drains", Question{States: states(up, drai), Persisted: 1, Loads: []Load{{}, {Full: true}}}, 0, ByMethod},
		{"firm: overloaded", Question{States: states(up, over), Persisted: 1, Bond: Firm}, 1, Persisted},
		{"firm: another mode", Question{States: other, Persisted: 1, Bond: Firm}, 1, Persisted},
		{"firm: drains", Question{States: states(up, drai), Persisted: 1, Bond: Firm}, 1, PersistedDraining},
		{"firm: down", Question{States: states(up, down), Persisted: 1, Bond: Firm}, 0, ByMethod},
		{"firm: maintenance", Question{States: states(up, main), Persisted: 1, Bond: Firm}, 0, ByMethod},
		{"firm: not known while another is up", Question{States: states(up, unkn), Persisted: 1, Bond: Firm}, 0, ByMethod},
		{"firm: waits where it is full", Question{States: states(up, up), Persisted: 1, Bond: Firm, Loads: []Load{{}, {Full: true}}}, -1, BoundFull},
		{"firm: full and shunned", Question{States: states(up, up), Persisted: 1, Bond: Firm, Loads: []Load{{}, {Full: true, Shunned: true}}}, 0, ByMethod},
		{"firm: failed for this request", Question{States: states(up, drai), Persisted: 1, Bond: Firm, Loads: []Load{{}, {Tried: true}}}, 0, ByMethod},
	})
}

// TestGroups: the highest priority serves, and the next while there are fewer than min_active.
func TestGroups(t *testing.T) {
	covers.Req(t, "LB4")
	none := Question{Persisted: -1, MinActive: 1, Priorities: []int{10, 5, 10, 5, 0}}
	ask := func(active int, loads []Load, ss ...healthcheck.State) Question {
		q := none
		q.MinActive, q.States, q.Loads = active, states(ss...), loads
		return q
	}
	fast := []Load{{TTFB: 50 * ms}, {TTFB: 5 * ms}, {TTFB: 60 * ms}, {TTFB: 4 * ms}, {TTFB: 2 * ms}}
	with := func(edit func([]Load)) []Load {
		l := slices.Clone(fast)
		edit(l)
		return l
	}
	playRules(t, []rule{
		{"the highest only", ask(1, fast, up, up, up, up, up), 0, ByMethod},
		{"enough of the highest", ask(2, fast, up, up, up, up, up), 0, ByMethod},
		{"too few: the next join", ask(3, fast, up, up, up, up, up), 3, ByMethod},
		{"more than there are: all", ask(5, fast, up, up, up, up, up), 4, ByMethod},
		{"one of two is down", ask(2, fast, down, up, up, up, up), 3, ByMethod},
		{"one of two is down, one is enough", ask(1, fast, down, up, up, up, up), 2, ByMethod},
		{"the highest are down", ask(1, fast, down, up, down, up, up), 3, ByMethod},
		{"the highest are overloaded, the next are up", ask(1, fast, over, up, over, up, up), 3, ByMethod},
		{"the highest are full", ask(1, with(func(l []Load) { l[0].Full, l[2].Full = true, true }), up, up, up, up, up), 3, ByMethod},
		{"the highest are shunned", ask(1, with(func(l []Load) { l[0].Shunned, l[2].Shunned = true, true }), up, up, up, up, up), 3, ByMethod},
		{"all are shunned: the highest again", ask(1, with(func(l []Load) {
			for i := range l {
				l[i].Shunned = true
			}
		}), up, up, up, up, up), 0, ByMethodAll},
		{"failed at the highest", ask(1, with(func(l []Load) { l[0].Tried, l[2].Tried = true, true }), up, up, up, up, up), 3, ByMethod},
		{"bound to a lower one", Question{States: states(up, up), Priorities: []int{5, 0}, MinActive: 1, Persisted: 1}, 1, Persisted},
	})
}

// TestLimitsAndPanic: who has no place gets nothing, and what shunning is worth.
func TestLimitsAndPanic(t *testing.T) {
	covers.Req(t, "LB4")
	full := []Load{{Full: true}, {Full: true}}
	one := []Load{{Shunned: true, TTFB: ms}, {TTFB: 50 * ms}, {Shunned: true, TTFB: ms, InFlight: 1}}
	playRules(t, []rule{
		{"all full", Question{States: states(up, up), Loads: full, Persisted: -1}, -1, AllFull},
		{"all full, but for one that may not serve", Question{States: states(up, down), Loads: []Load{{Full: true}, {}}, Persisted: -1}, -1, AllFull},
		{"a full one does not open the way for the overloaded", Question{States: states(up, over), Loads: []Load{{Full: true}, {}}, Persisted: -1}, -1, AllFull},
		{"rather a place later than a member that refuses", Question{States: states(up, up), Loads: []Load{{Full: true}, {Shunned: true}}, Persisted: -1}, -1, AllFull},
		{"all shunned, one has a place", Question{States: states(up, up), Loads: []Load{{Full: true, Shunned: true}, {Shunned: true}}, Persisted: -1}, 1, ByMethodAll},
		{"no panic", Question{States: states(up, up, up), Loads: one, Persisted: -1}, 1, ByMethod},
		{"a third is not enough", Question{States: states(up, up, up), Loads: one, Persisted: -1, PanicPercent: 50}, 0, ByMethodPanic},
		{"a third is enough", Question{States: states(up, up, up), Loads: one, Persisted: -1, PanicPercent: 33}, 1, ByMethod},
		{"those that are down do not count", Question{States: states(down, up, up), Loads: one, Persisted: -1, PanicPercent: 50}, 1, ByMethod},
		{"panic keeps clients where they are", Question{States: states(up, up, up), Loads: one, Persisted: 2, PanicPercent: 50}, 2, Persisted},
		{"panic does not fill the full", Question{States: states(up, up), Loads: []Load{{Shunned: true, Full: true}, {Full: true}}, Persisted: -1, PanicPercent: 100}, -1, AllFull},
	})
}

// drawQuestion makes any question that Pick may be asked.
func drawQuestion(t *rapid.T) Question {
	n := rapid.IntRange(0, 8).Draw(t, "members")
	q := Question{
		Method:       rapid.SampledFrom(Methods()).Draw(t, "method"),
		Class:        Class(rapid.IntRange(0, MaxClasses-1).Draw(t, "class")),
		Persisted:    rapid.IntRange(-1, n-1).Draw(t, "persisted"),
		Bond:         rapid.SampledFrom([]Bond{Loose, Firm}).Draw(t, "bond"),
		Draw:         rapid.Uint64().Draw(t, "draw"),
		Hash:         rapid.Uint64().Draw(t, "hash"),
		Startup:      rapid.Bool().Draw(t, "startup"),
		MinActive:    rapid.IntRange(0, n+1).Draw(t, "min active"),
		SlowStart:    rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "slow start"),
		PanicPercent: rapid.SampledFrom([]int{0, 1, 50, 100}).Draw(t, "panic"),
	}
	groups := rapid.Bool().Draw(t, "groups")
	for range n {
		q.States = append(q.States, healthcheck.Status{
			State:  healthcheck.State(rapid.IntRange(0, int(healthcheck.Maintenance)).Draw(t, "state")),
			Source: rapid.SampledFrom([]healthcheck.Source{healthcheck.FromProbes, healthcheck.FromTraffic, healthcheck.FromOverride}).Draw(t, "source"),
			Load:   healthcheck.Load{Active: rapid.IntRange(-1, 9).Draw(t, "active"), Capacity: rapid.IntRange(-1, 9).Draw(t, "capacity"), Mode: rapid.SampledFrom([]string{"", "normal", "hostcache", "draining"}).Draw(t, "mode")},
		})
		q.Weights = append(q.Weights, rapid.IntRange(1, 5).Draw(t, "weight"))
		q.Keys = append(q.Keys, rapid.Uint64().Draw(t, "key"))
		if groups {
			q.Priorities = append(q.Priorities, rapid.IntRange(0, 3).Draw(t, "priority"))
		}
		q.Loads = append(q.Loads, Load{
			InFlight: rapid.Int64Range(0, 1000).Draw(t, "inflight"),
			TTFB:     time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "ttfb")),
			OK200:    time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "ok200")),
			Idle:     time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "idle")),
			Since:    time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "since")),
			Failing:  rapid.Float64Range(0, 1).Draw(t, "failing"),
			Shunned:  rapid.Bool().Draw(t, "shunned"), Tried: rapid.Bool().Draw(t, "tried"), Full: rapid.Bool().Draw(t, "full"),
		})
	}
	return q
}

// TestPickObeys is HK4 under random states, words, bonds, priorities and limits: whatever the
// method, nobody is sent where the state forbids it, everybody is sent somewhere while a member is
// allowed, and the first rule that names one decides.
func TestPickObeys(t *testing.T) {
	covers.Req(t, "HK4")
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		serving := allowed(&q)
		got, r := Pick(&q)
		if again, r2 := Pick(&q); again != got || r2 != r {
			t.Fatalf("same question, answers %d and %d", got, again)
		}
		usable := func(i int) bool { return !q.Loads[i].Tried && !q.Loads[i].Full }
		if got < 0 {
			refused(t, &q, serving, r)
			return
		}
		if !usable(got) {
			t.Fatalf("picked %d (%s), which is full or has failed", got, r.How)
		}
		switch s := q.States[got].State; {
		case r.How == PersistedDraining && (got != q.Persisted || s != drai), r.How == Persisted && got != q.Persisted:
			t.Fatalf("%d in state %s: %s", got, s, r.How)
		case got == q.Persisted && s == drai:
		case got == q.Persisted && q.Bond == Firm && (s == up || s == over) && q.States[got].Load.Mode != "draining":
		case !slices.Contains(serving, got):
			t.Fatalf("picked %d (%s), %s; allowed are %v", got, s, r.How, serving)
		}
		if r.How == ByMethod && q.Loads[got].Shunned {
			t.Fatalf("picked %d, which is shunned", got)
		}
		if r.How != Persisted && r.How != PersistedDraining {
			byGroup(t, &q, serving, got, r)
		}
	})
}

// allowed is who may get a client that nothing binds, written down once more.
func allowed(q *Question) (out []int) {
	serving, _ := healthcheck.Serving(nil, q.States)
	unshunned, takes := 0, false
	for _, i := range serving {
		l, said := q.Loads[i], q.States[i].Load
		if q.States[i].State != up {
			return serving
		}
		if !l.Shunned {
			unshunned++
			free := !l.Tried && !l.Full && said.Mode == "normal"
			takes = takes || free && (said.Capacity == -1 || float64(l.InFlight) < float64(said.Capacity)*Ramp(l.Since, q.SlowStart))
		}
	}
	if takes && unshunned*100 >= len(serving)*q.PanicPercent {
		return serving
	}
	for i := range q.States {
		if q.States[i].State == up {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return serving
	}
	return out
}

// refused checks that there was nobody.
func refused(t *rapid.T, q *Question, serving []int, r Reason) {
	free, unshunned, untried := 0, 0, 0
	for _, i := range serving {
		if l := q.Loads[i]; !l.Tried {
			untried++
			if !l.Full {
				free++
			}
			if !l.Shunned {
				unshunned++
			}
		}
	}
	ok := false
	switch r.How {
	case NoneServing:
		ok = len(serving) == 0
	case AllTried:
		ok = len(serving) > 0 && untried == 0
	case AllFull: // a shunned one with a place is not asked while another may soon have one
		ok = untried > 0 && (free == 0 || unshunned > 0)
	case BoundFull:
		ok = q.Bond == Firm && q.Loads[q.Persisted].Full && !q.Loads[q.Persisted].Tried
	}
	if !ok {
		t.Fatalf("nobody picked: %s; serving %v", r.How, serving)
	}
}

// byGroup checks that no more groups serve than have to.
func byGroup(t *rapid.T, q *Question, serving []int, got int, r Reason) {
	if q.Priorities == nil {
		return
	}
	higher := 0
	for _, i := range serving {
		l := q.Loads[i]
		if !l.Tried && !l.Full && (r.How != ByMethod || !l.Shunned) && q.Priorities[i] > q.Priorities[got] {
			higher++
		}
	}
	if higher > 0 && higher >= q.MinActive {
		t.Fatalf("picked %d of priority %d, though %d above it can be used and %d are enough", got, q.Priorities[got], higher, q.MinActive)
	}
}

// TestPickRulesAllocateNothing: no rule puts anything on the heap.
func TestPickRulesAllocateNothing(t *testing.T) {
	q := benchQuestion(LeastResponseTimeName)
	q.Priorities, q.MinActive, q.SlowStart, q.PanicPercent = []int{3, 3, 2, 2, 1, 1, 0, 0}, 5, time.Minute, 90
	q.Loads[1].Shunned, q.Loads[2].Full, q.Loads[3].Since = true, true, time.Second
	q.Persisted, q.Bond = 2, Loose
	if n := testing.AllocsPerRun(100, func() { Pick(&q) }); n != 0 {
		t.Errorf("%v allocations per decision", n)
	}
}
