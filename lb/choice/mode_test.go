package choice

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// inModes gives members that are up in the given modes and say nothing of their load.
func inModes(modes ...string) []healthcheck.Status {
	out := states(slices.Repeat([]healthcheck.State{up}, len(modes))...)
	for i, m := range modes {
		out[i].Load.Mode = m
	}
	return out
}

// TestPrefersNormal: who gets a client while the members do not all work in mode normal.
func TestPrefersNormal(t *testing.T) {
	covers.Req(t, "DC7")
	loads := func(edit func([]Load)) []Load {
		out := make([]Load, 3)
		for i := range out {
			out[i].TTFB = []Load{{TTFB: 50 * ms}, {TTFB: 5 * ms}, {TTFB: 4 * ms}}[i].TTFB
		}
		if edit != nil {
			edit(out)
		}
		return out
	}
	one := inModes("normal", "hostcache", "leased")
	saying := func(active, capacity int) []healthcheck.Status {
		out := slices.Clone(one)
		out[0].Load.Active, out[0].Load.Capacity = active, capacity
		return out
	}
	ask := func(s []healthcheck.Status, edit func([]Load)) Question {
		return Question{States: s, Loads: loads(edit), Persisted: -1}
	}
	bound := func(bond Bond, edit func([]Load)) Question {
		q := ask(one, edit)
		q.Persisted, q.Bond = 1, bond
		return q
	}
	growing := func(s []healthcheck.Status, inFlight int64) Question {
		q := ask(s, func(l []Load) { l[0].InFlight, l[0].Since = inFlight, time.Second })
		q.SlowStart = time.Minute
		return q
	}
	panicking := func(shunned ...bool) Question {
		q := Question{States: inModes("normal", "normal", "normal", "hostcache"), Loads: make([]Load, 4), Persisted: -1, PanicPercent: 50}
		for i := range q.Loads {
			q.Loads[i] = Load{TTFB: time.Duration(40-10*i) * ms}
		}
		for i, s := range shunned {
			q.Loads[i].Shunned = s
		}
		return q
	}
	full := func(l []Load) { l[0].Full = true }
	playRules(t, []rule{
		{"the normal one, however slow", ask(one, nil), 0, ByMethod},
		{"one that says no mode is not preferred", ask(inModes("", "hostcache", "leased"), nil), 2, ByMethod},
		{"and not passed over", ask(inModes("normal", "hostcache", ""), nil), 2, ByMethod},
		{"it does not carry the work for those in mode normal", ask(inModes("", "hostcache", "normal"), func(l []Load) { l[2].Full = true }), 1, ByMethod},
		{"a balancer with a normal member is normal", ask(inModes("normal,hostcache", "hostcache", "leased"), nil), 0, ByMethod},
		{"recovering comes after normal", ask(inModes("recovering", "normal", "recovering"), nil), 1, ByMethod},
		{"a mode that nobody knows comes after normal", ask(inModes("normal", "hyper", "x"), nil), 0, ByMethod},
		{"all in the outage: all serve alike", ask(inModes("hostcache", "leased", "recovering"), nil), 2, ByMethod},
		{"all normal: all serve alike", ask(inModes("normal", "", "normal"), nil), 2, ByMethod},
		{"the normal one is full", ask(one, full), 2, ByMethod},
		{"the normal one is avoided", ask(one, func(l []Load) { l[0].Shunned = true }), 2, ByMethod},
		{"the normal one has failed for this request", ask(one, func(l []Load) { l[0].Tried = true }), 2, ByMethod},
		{"the normal one has as much in flight as it carries", ask(saying(0, 8), func(l []Load) { l[0].InFlight = 8 }), 2, ByMethod},
		{"it has less", ask(saying(0, 8), func(l []Load) { l[0].InFlight = 7 }), 0, ByMethod},
		{"it says that it is used up", ask(saying(8, 8), nil), 2, ByMethod},
		{"it came back just now, and has its share of what it carries", growing(saying(0, 64), 7), 2, ByMethod},
		{"it has less than its share", growing(saying(0, 64), 6), 0, ByMethod},
		{"connects to most of the normal ones fail", panicking(true, true, false), 3, ByMethod},
		{"connects to most of all fail", panicking(true, true, true), 3, ByMethodPanic},
		{"connects to few of them fail", panicking(true, false, false), 2, ByMethod},
		{"all are full", ask(one, func(l []Load) { l[0].Full, l[1].Full, l[2].Full = true, true, true }), -1, AllFull},
		{"a source address moves", bound(Loose, nil), 0, ByMethod},
		{"a source address stays where the normal one is full", bound(Loose, full), 1, Persisted},
		{"a session stays", bound(Firm, nil), 1, Persisted},
		{"a session stays although its member is full", bound(Firm, func(l []Load) { l[1].Full = true }), -1, BoundFull},
	})
}

// TestStepsAside: a broker that leaves its logins to others says 503 and draining. It refuses them, so
// it gets none while a member is only busy.
func TestStepsAside(t *testing.T) {
	covers.Req(t, "DC7")
	s := states(over, over)
	s[0].Load = healthcheck.Load{Active: 0, Capacity: 64, Mode: "draining"}
	s[1].Load = healthcheck.Load{Active: 90, Capacity: 64, Mode: "normal"}
	both := append(inModes("hostcache"), s...)
	playRules(t, []rule{
		{"a session leaves it for one that is up", Question{States: both, Persisted: 1, Bond: Firm}, 0, ByMethod},
		{"for one that is busy", Question{States: s, Persisted: 0, Bond: Firm}, 1, ByMethod},
		{"not where there is nobody else", Question{States: s[:1], Persisted: 0, Bond: Firm}, 0, Persisted},
		{"and stays where it is merely busy", Question{States: both, Persisted: 2, Bond: Firm}, 2, Persisted},
		{"the busy one", Question{States: s, Persisted: -1}, 1, ByMethod},
		{"nobody else", Question{States: s[:1], Persisted: -1}, 0, ByMethod},
		{"another one is up, without its database", Question{States: both, Persisted: -1}, 0, ByMethod},
	})
}

// TestNoModeEmptiesAPool: what members say of their mode, true or not, changes whom a client gets, but
// never whether it gets somebody.
func TestNoModeEmptiesAPool(t *testing.T) {
	covers.Req(t, "HK4")
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion(t)
		var free, normal []int
		for i := range q.States {
			s, l := &q.States[i], q.Loads[i]
			s.Load.Mode = rapid.SampledFrom([]string{"", "normal", "hostcache", "leased", "recovering", "leased,normal", "other"}).Draw(t, "mode")
			if s.State == up && !l.Tried && !l.Full && !l.Shunned {
				free = append(free, i)
				if s.Load.Normal() {
					normal = append(normal, i)
				}
			}
		}
		q.Bond = Loose
		got, r := Pick(&q)
		if got < 0 && len(free) > 0 {
			t.Fatalf("%v are up and free, and nobody is picked: %s", free, r.How)
		}
		carries := func(i int) bool {
			c := q.States[i].Load.Capacity
			return c < 0 || int64(c) > q.Loads[i].InFlight && q.SlowStart == 0
		}
		if got >= 0 && r.How == ByMethod && r.Serving != tooMuch(&q) && q.PanicPercent == 0 && slices.ContainsFunc(normal, carries) && q.States[got].Load.Abnormal() {
			t.Fatalf("picked %d in mode %q, although %v are normal and free: %s", got, q.States[got].Load.Mode, normal, r.Serving)
		}
	})
}

// tooMuch is the reason of healthcheck.Serving where it names members in any mode.
func tooMuch(q *Question) string {
	serving, why := healthcheck.Serving(nil, q.States)
	if slices.ContainsFunc(serving, func(i int) bool { return q.States[i].Load.Abnormal() }) {
		return why
	}
	return ""
}

// TestModesAllocateNothing: neither preferring the members in mode normal nor passing over them puts
// anything on the heap.
func TestModesAllocateNothing(t *testing.T) {
	q := benchQuestion(LeastResponseTimeName)
	for i := range q.States {
		q.States[i].Load.Mode = []string{"normal", "hostcache", "leased,recovering", "leased,normal"}[i%4]
	}
	play := func() { Pick(&q) }
	if n := testing.AllocsPerRun(100, play); n != 0 {
		t.Errorf("%v allocations while the normal ones serve", n)
	}
	for i := range q.Loads {
		q.Loads[i].Full = q.States[i].Load.Normal()
	}
	if i, r := Pick(&q); i < 0 || q.Loads[i].Full {
		t.Fatalf("%d, %s", i, r.How)
	}
	if n := testing.AllocsPerRun(100, play); n != 0 {
		t.Errorf("%v allocations while all serve", n)
	}
}

// TestNoStampede: between two probes thousands of clients come to a pool in which one broker of five
// still has its database. It gets what it says it carries, and then no more than its share of the rest;
// where it is the slowest, little more.
func TestNoStampede(t *testing.T) {
	f := func(ttfb time.Duration, least, most int64) {
		t.Helper()
		q := Question{
			Method: LeastResponseTimeName, States: inModes("normal", "hostcache", "hostcache", "leased", "leased"),
			Weights: make([]int, 5), Loads: make([]Load, 5), Persisted: -1,
		}
		q.States[0].Load.Active, q.States[0].Load.Capacity = 0, 64
		for i := range q.Loads {
			q.Loads[i].TTFB = 10 * ms
		}
		q.Loads[0].TTFB = ttfb
		for q.Draw = range 10_000 {
			i, r := Pick(&q)
			if i < 0 {
				t.Fatalf("client %d gets nobody: %s", q.Draw, r.How)
			}
			if q.Draw < 64 != (i == 0 && q.Loads[0].InFlight < 64) {
				t.Fatalf("client %d goes to member %d: %s", q.Draw, i, r.Serving)
			}
			q.Loads[i].InFlight++
		}
		if n := q.Loads[0].InFlight; n < least || n > most {
			t.Errorf("%d of 10,000 clients go to the one in mode normal, want %d to %d", n, least, most)
		}
	}
	f(10*ms, 1500, 2500)
	f(time.Second, 64, 100)
}
