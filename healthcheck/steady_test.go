package healthcheck

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// aged is what a time that runs out by the clock loses until it is worked out again: an interval
// and the wait to be published.
const aged = gapLazily + gapCostMax

func TestSteadyOfTheProbes(t *testing.T) {
	std := newRule(Monitor{Interval: 5 * s, Fall: 3, Rise: 2})
	fast := newRule(Monitor{Interval: 5 * s, Fall: 4, Rise: 4, Judging: Judging{IntervalTransition: s, IntervalDown: 20 * s}})
	kn := newRule(Monitor{Interval: 5 * s, Fall: 3, Rise: 2, Judging: Judging{FallOf: 5}})
	silent := newRule(Monitor{Interval: 5 * s, Rise: 1, Judging: Judging{DownAfter: 30 * s}})
	either := newRule(Monitor{Interval: 5 * s, Fall: 9, Rise: 1, Judging: Judging{DownAfter: 30 * s}})
	late := newRule(Monitor{Interval: 5 * s, Fall: 1, Rise: 2, Judging: Judging{TimeUntilUp: time.Minute}})
	flap := newRule(Monitor{Interval: 5 * s, Fall: 1, Rise: 1, Judging: Judging{FlapLimit: 2, FlapWindow: time.Hour, FlapHold: 10 * time.Minute}})
	hold := newRule(Monitor{Interval: 5 * s, Fall: 9, Rise: 1, Judging: Judging{OverloadHold: time.Minute}})
	results := map[byte]Result{
		'u': {State: Up}, 'o': {State: Overloaded}, 'd': {State: Down}, 'r': {State: Draining}, 'm': {State: Maintenance},
	}
	for _, c := range []struct {
		about string
		r     rule
		in    string // results, five seconds apart
		want  time.Duration
	}{
		{"unknown", std, "", 0},
		{"up: three failures, the first at once", std, "u", 10 * s},
		{"one seen", std, "ud", 5 * s},
		{"the next one decides", std, "udd", 0},
		{"a success begins anew", std, "uddu", 10 * s},
		{"down: two successes", std, "d", 5 * s},
		{"one seen", std, "du", 0},
		{"overloaded: the rise comes first", std, "uo", 5 * s},
		{"", std, "uou", 0},
		{"or the fall", std, "uodd", 0},
		{"the target's word", std, "r", 0},
		{"", std, "m", 0},
		{"the second failure comes at the phase of the transition interval", fast, "u", 2 * s},
		{"", fast, "ud", 2 * s},
		{"", fast, "udd", s},
		{"down", fast, "d", 2 * s},
		{"", fast, "du", 2 * s},
		{"k of n", kn, "u", 10 * s},
		{"an old failure counts", kn, "uduu", 5 * s},
		{"until it leaves the window", kn, "uduuuu", 10 * s},
		{"", kn, "ududu", 0},
		{"no success for 30 s", silent, "u", 30*s - 5*s - aged},
		{"seen 10 s ago", silent, "udd", 20*s - 5*s - aged},
		{"both: the silence is sooner", either, "u", 30*s - 5*s - aged},
		{"both: the count is sooner", either, "udddd", 10*s - 5*s - aged},
		{"time until up, not begun", late, "d", time.Minute},
		{"begun", late, "duu", 55*s - 5*s - aged},
		{"flapping once is not damped", flap, "ud", 0},
		{"damped", flap, "udud", 10*time.Minute - 5*s - aged},
		{"damped, and it succeeds", flap, "ududu", 10*time.Minute - 10*s - aged},
		{"overload is not held the first time", hold, "uo", 0},
		{"but when it comes again", hold, "uouo", 10*s - 5*s - aged},
	} {
		var j judged
		now := moment
		for i := range len(c.in) {
			now = moment.Add(time.Duration(i) * 5 * s)
			j = judge(c.r, j, results[c.in[i]], now)
		}
		if got := steady(c.r, j, facts{state: j.state}, FromProbes, now); got != c.want {
			t.Errorf("%s: after %q, %s: %s, want %s", c.about, c.in, j.state, got, c.want)
		}
	}
}

func TestSteadyOfTheOtherFacts(t *testing.T) {
	r := newRule(Monitor{Interval: 5 * s, Fall: 3, Rise: 2})
	up, down := judged{state: Up}, judged{state: Down, ills: &ills{}}
	in := func(d time.Duration) time.Time { return moment.Add(d) }
	for _, c := range []struct {
		about string
		j     judged
		f     facts
		by    Source
		want  time.Duration
	}{
		{"forced for good", up, facts{force: &Override{}}, FromOverride, MaxSteady},
		{"forced for an hour", up, facts{force: &Override{Expires: in(time.Hour)}}, FromOverride, time.Hour - 5*s - aged},
		{"forced for a week", up, facts{force: &Override{Expires: in(7 * MaxSteady)}}, FromOverride, MaxSteady},
		{"forced for a second", up, facts{force: &Override{Expires: in(s)}}, FromOverride, 0},
		{"forced through a window", up, facts{force: &Override{}, turns: in(time.Minute)}, FromOverride, MaxSteady},
		{"window", up, facts{window: "w", turns: in(time.Hour)}, FromMaintenance, time.Hour - 5*s - aged},
		{"held", up, facts{state: Up, held: true}, FromHold, MaxSteady},
		{"held, and still down", down, facts{state: Down, held: true}, FromProbes, MaxSteady},
		{"held until a window opens", up, facts{state: Up, held: true, turns: in(time.Minute)}, FromHold, time.Minute - 5*s - aged},
		{"up until a window opens", up, facts{state: Up, turns: in(8 * s)}, FromProbes, 8*s - 5*s - aged},
		{"up, a window is far", up, facts{state: Up, turns: in(time.Hour)}, FromProbes, 10 * s},
		{"dependency", up, facts{state: Up, parent: "p"}, FromDependency, 0},
		{"traffic", up, facts{state: Up, ejected: "e"}, FromTraffic, 0},
		{"before the restart", judged{}, facts{before: Up}, FromRestart, 0},
	} {
		if got := steady(r, c.j, c.f, c.by, moment); got != c.want {
			t.Errorf("%s: %s, want %s", c.about, got, c.want)
		}
	}
}

// Whatever the rules, the past and the results to come, the state does not change sooner than
// steady said before each of them, when the probes come at their intervals.
func TestSteadyIsALowerBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(name string, least, most int) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * s
		}
		m := Monitor{Interval: 5 * s, Fall: rapid.IntRange(1, 5).Draw(t, "fall"), Rise: rapid.IntRange(1, 5).Draw(t, "rise")}
		m.Judging = Judging{
			IntervalTransition: seconds("transition", 1, 8), IntervalDown: seconds("while down", 1, 20),
			TimeUntilUp: seconds("until up", 0, 40), DownAfter: seconds("down after", 0, 40),
			FlapLimit: rapid.IntRange(0, 2).Draw(t, "flaps"), FlapWindow: time.Hour, FlapHold: seconds("flap hold", 0, 90),
			OverloadHold: seconds("overload hold", 0, 60),
		}
		if rapid.Bool().Draw(t, "k of n") {
			m.FallOf = m.Fall + rapid.IntRange(0, 4).Draw(t, "of")
		}
		r := newRule(m)
		said := rapid.SliceOfN(rapid.SampledFrom([]State{Up, Up, Overloaded, Down, Down, Down}), 1, 30).Draw(t, "past")
		next := rapid.SliceOfN(rapid.SampledFrom([]State{Up, Down}), 1, 30).Draw(t, "future")
		hash := rapid.Uint64().Draw(t, "hash")
		var j judged
		now := moment.Add(nextBase(0, 0, hash, m.Interval))
		step := func(res State) {
			j = judge(r, j, Result{State: res}, now)
			base := now.Sub(moment)
			now = moment.Add(nextBase(base, base, hash, pace(m, j)))
		}
		for _, res := range said {
			step(res)
		}
		type promise struct {
			state State
			until time.Time
			why   string
		}
		var promises []promise
		for i, res := range next {
			promises = append(promises, promise{j.state, now.Add(steady(r, j, facts{state: j.state}, FromProbes, now)), fmt.Sprintf("before result %d at %s: %+v", i, now.Sub(moment), j)})
			at := now
			step(res)
			for _, p := range promises {
				if j.state != p.state && at.Before(p.until) {
					t.Fatalf("%s at %s, promised %s until %s %s", j.state, at.Sub(moment), p.state, p.until.Sub(moment), p.why)
				}
			}
			if j.state != promises[0].state {
				return
			}
		}
	})
}

func TestOpeningOf(t *testing.T) {
	windows := func(texts ...string) []window {
		out, err := parseWindows(texts)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	at := func(text string) time.Time {
		v, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		windows     []window
		now, window string
		until       string
	}{
		{windows("Sat 22:00-23:30"), "2026-03-07 21:10:20", "", "2026-03-07 22:00:00"},
		{windows("Sat 22:00-23:30"), "2026-03-07 22:00:00", "Sat 22:00-23:30 UTC", "2026-03-07 23:30:00"},
		{windows("Sat 22:00-23:30"), "2026-03-07 23:30:00", "", "2026-03-08 23:30:00"}, // a day is far enough
		{windows("daily 23:50-00:07"), "2026-03-07 23:55:59", "daily 23:50-00:07 UTC", "2026-03-08 00:07:00"},
		{windows("daily 01:00-02:00", "daily 01:30-03:00"), "2026-03-07 01:40:00", "daily 01:00-02:00 UTC", "2026-03-07 02:00:00"},
		// Berlin leaves out 02:00 to 03:00 on this day: the window begins when the clock jumps into it.
		{windows("Sun 02:30-04:00 Europe/Berlin"), "2026-03-29 00:10:00", "", "2026-03-29 01:00:00"},
		{windows("Sun 02:30-04:00 Europe/Berlin"), "2026-03-29 01:10:00", "Sun 02:30-04:00 Europe/Berlin", "2026-03-29 02:00:00"},
	} {
		got := openingOf(c.windows, at(c.now))
		want := at(c.until)
		if got.window != c.window || got.until.Sub(want) < 0 || got.until.Sub(want) > clockStep && c.window == "" || !got.until.Equal(want) && got.until.Sub(at(c.now)) < MaxSteady {
			t.Errorf("%s: %q until %s, want %q until %s", c.now, got.window, got.until.Format(time.DateTime), c.window, c.until)
		}
		if !got.holds(at(c.now)) || got.holds(at(c.now).Add(-s)) || got.holds(got.until) {
			t.Errorf("%s: it does not hold as long as it says", c.now)
		}
	}
}

// Steady reaches the snapshot, follows the results, and is the least of a member's checks.
func TestSteadyThroughTheEngine(t *testing.T) {
	inWorld(t, map[string]Judging{"m": {}, "n": {ManualResume: true}}, []string{"a:1/m", "a:1/n"}, func(w *world) {
		is := func(name string, want time.Duration) {
			t.Helper()
			if st := w.status(name); st.Steady != want {
				t.Errorf("%s is steady for %s, want %s (%s: %s)", name, st.Steady, want, st.State, st.Reason)
			}
		}
		is("a:1/m", s)
		w.set("a:1/m", Down)
		w.soon(1200*time.Millisecond, "a:1/m", Up, FromProbes, "1 of 2 failures in a row")
		is("a:1/m", 0)
		member := Member{Refs: []Ref{w.e.Ref(keyOf("a:1/m")), w.e.Ref(keyOf("a:1/n"))}, Min: 1}
		if st := w.e.Snapshot().Member(member); st.State != Up || st.Steady != 0 {
			t.Errorf("the member: %+v", st)
		}
		w.soon(1200*time.Millisecond, "a:1/m", Down, FromProbes, "it is down")
		is("a:1/m", s)
		w.set("a:1/n", Down)
		w.soon(3*s, "a:1/n", Down, FromProbes, "it is down")
		is("a:1/n", MaxSteady)
		if err := w.e.Force(Override{Pattern: "a:1/m", State: Up, Owner: "kim", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if st := w.status("a:1/m"); st.Steady < time.Hour-5*s || st.Steady >= time.Hour {
			t.Errorf("forced for an hour: steady for %s", st.Steady)
		}
	})
}
