package healthcheck

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// words are the results that the rule tests feed, by letter: the states are their first letters.
var words = map[byte]Result{
	'u': {State: Up, Reason: "ok"}, 'o': {State: Overloaded, Reason: "503"}, 'd': {State: Down, Reason: "refused"},
	'r': {State: Draining, Reason: "drain"}, 'm': {State: Maintenance, Reason: "maint"},
}

// letter is a state as the rule tests write it.
func letter(s State) string {
	return [...]string{Unknown: "?", Up: "u", Overloaded: "o", Down: "d", Draining: "r", Maintenance: "m"}[s]
}

// follow feeds one result per second ('.' lets a second pass) and gives the state after each.
func follow(r rule, in string) (string, judged) {
	var j judged
	got := ""
	for i := range len(in) {
		if in[i] != '.' {
			j = judge(r, j, words[in[i]], moment.Add(time.Duration(i)*time.Second))
		}
		got += letter(j.state)
	}
	return got, j
}

func TestJudgeRules(t *testing.T) {
	f := func(r rule, in, want, reason string) {
		t.Helper()
		if r.rise == 0 {
			r.rise = 1
		}
		got, j := follow(r, in)
		if got != want || reason != "" && j.reason != reason {
			t.Errorf("%+v:\n%s gives\n%s, want\n%s (%s)", r, in, got, want, j.reason)
		}
	}
	// k of n: 3 failures of the last 5, in any order; a recovery starts anew.
	kn := rule{fall: 3, of: 5}
	f(kn, "uduudud", "uuuuuuu", "2 of 3 failures in the last 5: refused")
	f(kn, "ududud", "uuuuud", "refused")
	f(kn, "udduuudd", "uuuuuuuu", "")
	f(kn, "udduududd", "uuuuuduuu", "2 of 3 failures in the last 5: refused")
	f(kn, "ududududd", "uuuuuduuu", "")
	f(rule{fall: 1, of: 1}, "udud", "udud", "")

	// No success for 5 s; fall does not count unless it was given.
	silent := rule{downAfter: 5 * time.Second}
	f(silent, "udddd", "uuuuu", "no success for 4s of 5s: refused")
	f(silent, "uddddd", "uuuuud", "refused")
	f(silent, "uddduddddd", "uuuuuuuuud", "")
	f(silent, "u......d", "uuuuuuud", "")
	f(silent, "odddd", "ooooo", "")
	f(rule{downAfter: 5 * time.Second, fall: 2}, "udd", "uud", "")

	// Up only when the successes last 3 s.
	late := rule{fall: 1, rise: 2, untilUp: 3 * time.Second}
	f(late, "uduuuu", "uddddu", "")
	f(late, "uduuu", "udddd", "succeeds since 2s of 3s: ok")
	f(late, "uduuduuuu", "uddddddd"+"u", "")
	f(late, "duu.u", "dddd"+"u", "")
	f(late, "u", "u", "")

	// Flapping: the third fall within a minute keeps it down until 4 s without a failure.
	flap := rule{fall: 1, rise: 1, flapLimit: 3, flapWindow: time.Minute, flapHold: 4 * time.Second}
	f(flap, "udududuu", "udududdd", "damped after 3 falls within 1m0s, 2s of 4s without a failure: ok")
	f(flap, "udududuuuu", "udududdddu", "ok")
	f(flap, "udududuuuudu", "udududddd"+"udu", "")
	f(flap, "ududu"+"............................................................"+"du",
		"ududu"+"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"+"du", "")

	// 503 again soon after it was up: held two intervals, then four, then the bound.
	hold := rule{fall: 1, rise: 1, interval: time.Second, overHold: 5 * time.Second}
	f(hold, "uou", "uou", "")
	f(hold, "uouou", "uouoo", "overloaded again too soon, held for 2s since the last 503: ok")
	f(hold, "uououu", "uouoou", "")
	f(hold, "uououuouuuu", "uouoouoooou", "")
	f(hold, "uououuouuuuouuuuu", "uouoouoooouooooou", "")
	f(hold, "uouu......ou", "uouuuuuuuuou", "")

	// The target's own word counts at once, and it comes back like any other.
	own := rule{fall: 2, rise: 2}
	f(own, "urmuu", "urmmu", "")
	f(own, "rdd", "rrd", "")
	f(own, "ddrm", "ddrm", "")
}

// allowed is the diagram of doc.go as a table: from -> to -> what result may cause it.
var allowed = map[State]map[State]string{
	Unknown:     {Up: "u", Down: "d", Overloaded: "o", Draining: "r", Maintenance: "m"},
	Up:          {Down: "d", Overloaded: "o", Draining: "r", Maintenance: "m"},
	Overloaded:  {Up: "u", Down: "d", Draining: "r", Maintenance: "m"},
	Down:        {Up: "u", Overloaded: "o", Draining: "r", Maintenance: "m"},
	Draining:    {Up: "u", Down: "d", Overloaded: "o", Maintenance: "m"},
	Maintenance: {Up: "u", Down: "d", Overloaded: "o", Draining: "r"},
}

// Whatever the rule and whatever comes, no state changes in a way that the diagram does not have,
// nor earlier than the rule says, and enough of one result always gets through.
func TestJudgeNeverLeavesTheDiagram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(0, 6).Draw(t, name)) * time.Second
		}
		r := rule{
			fall: rapid.IntRange(1, 4).Draw(t, "fall"), rise: rapid.IntRange(1, 4).Draw(t, "rise"),
			untilUp: seconds("until"), downAfter: seconds("after"), overHold: seconds("over"), interval: time.Second,
			flapLimit: rapid.IntRange(0, 3).Draw(t, "flaps"), flapWindow: 20 * time.Second, flapHold: seconds("flap"),
		}
		if rapid.Bool().Draw(t, "k of n") {
			r.of = rapid.IntRange(r.fall, 6).Draw(t, "of")
		}
		if r.downAfter > 0 && rapid.Bool().Draw(t, "only by time") {
			r.fall, r.of = 0, 0
		}
		var j judged
		now := moment
		run := ""
		for i := range rapid.IntRange(1, 80).Draw(t, "results") {
			res := rapid.SampledFrom([]byte("uuuudddddorm")).Draw(t, "result")
			now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			was := j
			j = judge(r, j, words[res], now)
			if run != "" && run[len(run)-1] != res {
				run = ""
			}
			run += string(res)
			if j.state == Unknown || j.reason == "" || (j.state == was.state) != j.since.Equal(was.since) {
				t.Fatalf("after result %d: %+v", i, j)
			}
			if j.state == was.state {
				continue
			}
			if causes := allowed[was.state][j.state]; causes != string(res) {
				t.Fatalf("%v > %v by %c", was.state, j.state, res)
			}
			switch {
			case was.state == Unknown:
			case j.state == Up && len(run) < r.rise:
				t.Fatal("up too early")
			case j.state == Up && was.state == Down && now.Sub(j.ills.rising) < r.untilUp:
				t.Fatal("up before time_until_up")
			case j.state == Up && was.state == Overloaded && now.Sub(was.ills.busy) < min(2*r.interval, r.overHold) && was.ills.overs > 0:
				t.Fatal("up too soon after a 503 that came back")
			case j.state == Down && r.fall == 0 && now.Sub(was.alive) < r.downAfter:
				t.Fatal("down before down_after")
			case j.state == Down && r.fall > 0 && r.of == 0 && len(run) < r.fall && (r.downAfter == 0 || now.Sub(was.alive) < r.downAfter):
				t.Fatal("down too early")
			}
		}
		for range 40 { // successes for longer than every hold
			now = now.Add(time.Second)
			j = judge(r, j, words['u'], now)
		}
		if j.state != Up {
			t.Fatalf("40 successes leave it %v: %s", j.state, j.reason)
		}
		for range 20 {
			now = now.Add(time.Second)
			j = judge(r, j, words['d'], now)
		}
		if j.state != Down {
			t.Fatalf("20 failures leave it %v: %s", j.state, j.reason)
		}
	})
}

func TestPace(t *testing.T) {
	m := Monitor{Interval: 5 * time.Second, Judging: Judging{IntervalTransition: time.Second, IntervalDown: 30 * time.Second}}
	f := func(in string, want time.Duration) {
		t.Helper()
		_, j := follow(rule{fall: 3, rise: 2}, in)
		if got := pace(m, j); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
	f("", time.Second)
	f("u", 5*time.Second)
	f("ud", time.Second)
	f("udu", 5*time.Second)
	f("uddd", 30*time.Second)
	f("udddu", time.Second)
	f("o", 5*time.Second)
	f("ou", time.Second)
	if d := (Monitor{Interval: 7 * time.Second}).WithDefaults(); pace(d, judged{}) != 7*time.Second || pace(d, judged{state: Down}) != 7*time.Second {
		t.Error("the intervals do not default to the interval")
	}
}

func TestAdaptive(t *testing.T) {
	f := func(divergence string, limit time.Duration, ms ...int) (whys []string) {
		t.Helper()
		a, err := newAdaptive(Judging{AdaptiveDivergence: divergence, AdaptiveLimit: limit, AdaptiveTimespan: time.Minute})
		if err != nil || !a.on() {
			t.Fatal(err)
		}
		var l latency
		for i, v := range ms {
			var why string
			if l, why = a.judge(l, time.Duration(v)*time.Millisecond, moment.Add(time.Duration(i)*5*time.Second)); why != "" {
				whys = append(whys, why)
			}
		}
		return whys
	}
	steady := []int{100, 100, 100, 100, 100, 100, 100, 100, 100, 100}
	one := func(whys []string, want string) {
		t.Helper()
		if len(whys) != 1 || whys[0] != want {
			t.Errorf("%q, want %q", whys, want)
		}
	}
	one(f("50%", 0, append(steady, 149, 200)...), "answered in 200ms, more than 50% over its mean of 103.9ms")
	one(f("30ms", 0, append(steady, 129, 150)...), "answered in 150ms, more than 30ms over its mean of 102.3ms")
	one(f("", 300*time.Millisecond, 300, 301), "answered in 301ms, slower than 300ms")
	if whys := f("50%", 0, 1, 1, 1, 500); len(whys) != 0 {
		t.Errorf("compared with too few samples: %q", whys)
	}
	slower := append([]int(nil), steady...)
	for range 60 {
		slower = append(slower, 200)
	}
	if whys := f("50%", 0, slower...); len(whys) == 0 || len(whys) > 20 {
		t.Errorf("%d of 60 are too slow: it never gets used to a slower target", len(whys))
	}
	for _, bad := range []string{"50", "0%", "-1ms", "x%", "20000%"} {
		if _, err := newAdaptive(Judging{AdaptiveDivergence: bad}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestWindows(t *testing.T) {
	f := func(text, at string, want bool) {
		t.Helper()
		w, err := parseWindow(text)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse("Mon 2006-01-02 15:04 MST", at)
		if err != nil || w.open(now) != want {
			t.Errorf("%q at %s: open %v, want %v (%v)", text, at, w.open(now), want, err)
		}
	}
	f("Sat 22:00-23:30", "Sat 2026-03-07 21:59 UTC", false)
	f("Sat 22:00-23:30", "Sat 2026-03-07 22:00 UTC", true)
	f("sat 22:00-23:30", "Sat 2026-03-07 23:29 UTC", true)
	f("Sat 22:00-23:30", "Sat 2026-03-07 23:30 UTC", false)
	f("Sat 22:00-23:30", "Sun 2026-03-08 22:30 UTC", false)
	f("Sat 22:00-01:00", "Sun 2026-03-08 00:59 UTC", true)
	f("Sat 22:00-01:00", "Sun 2026-03-08 01:00 UTC", false)
	f("Sat 22:00-01:00", "Sat 2026-03-07 00:30 UTC", false)
	f("Fri-Mon 02:00-24:00", "Sun 2026-03-08 23:59 UTC", true)
	f("Fri-Mon 02:00-24:00", "Tue 2026-03-10 12:00 UTC", false)
	f("Tue,Thu 10:00-11:00", "Thu 2026-03-12 10:30 UTC", true)
	f("daily 02:00-03:00 Europe/Berlin", "Wed 2026-07-01 00:30 UTC", true)
	f("daily 02:00-03:00 Europe/Berlin", "Wed 2026-12-02 00:30 UTC", false)
	for _, bad := range []string{"", "Sat", "Sat 22-23", "Sat 22:00", "Sat 22:00-22:00", "Sat 24:01-25:00", "Foo 1:00-2:00", "Sat 22:60-23:00", "Sat 02:00-03:00 Mars", "Sat 02:00-03:00 Local", "Sat 02:00-03:00 UTC x"} {
		if w, err := parseWindow(bad); err == nil {
			t.Errorf("%q is accepted: %+v", bad, w)
		}
	}
}
