package choice

import (
	"sync"
	"testing"
	"time"
)

func TestAverages(t *testing.T) {
	if got := blend(0, 20*ms, 0); got != 20*ms {
		t.Errorf("first sample: %v", got)
	}
	if got := blend(100*ms, 200*ms, 0); got != 105*ms {
		t.Errorf("a sample right after: %v, want a twentieth of the way", got)
	}
	if got := blend(100*ms, 200*ms, averageHalfLife); got != 150*ms {
		t.Errorf("a sample after one half-life: %v, want half way", got)
	}
	if got := blend(10*ms, time.Hour, 0); got != 14500*time.Microsecond {
		t.Errorf("a request that hung: %v, want it to count as ten times the average", got)
	}
	if got := faded(0.8, failureHalfLife); got != 0.4 {
		t.Errorf("failures after one half-life: %v", got)
	}
	for n, want := range map[int64]time.Duration{0: 0, 1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 5: shunMax, 90: shunMax} {
		if got := shunFor(n); got != want {
			t.Errorf("shunFor(%d) = %v, want %v", n, got, want)
		}
	}
}

// costOf is the cost of members under least-response-time.
func costOf(now int64, class Class, members ...*Stats) []float64 {
	q := poolOf(LeastResponseTimeName, len(members))
	q.Class = class
	all := make([]int, len(members))
	for i, s := range members {
		all[i], q.Loads[i] = i, s.Load(now, class)
	}
	f := FieldOf(&q, all)
	var out []float64
	for i := range members {
		out = append(out, f.Cost(&q, i))
	}
	return out
}

// TestFailuresPenalise plays the fast failer: quick errors must not make a member attractive.
func TestFailuresPenalise(t *testing.T) {
	var good, bad Stats
	now := int64(time.Second)
	for range 20 {
		now += int64(10 * ms)
		good.Answered(now, 20*ms, 0, 200)
		bad.Answered(now, 20*ms, 0, 200)
	}
	for range 5 {
		now += int64(10 * ms)
		bad.Answered(now, ms, 0, 503)
	}
	if g, b := good.Load(now, 0), bad.Load(now, 0); b.TTFB != g.TTFB {
		t.Errorf("errors moved the average from %v to %v", g.TTFB, b.TTFB)
	}
	if c := costOf(now, 0, &good, &bad); c[1] < 30*c[0] {
		t.Errorf("five failures in a row: %v", c)
	}
	// One failure among many is forgiven soon.
	good.Answered(now, ms, 0, 500)
	for range 20 {
		good.Answered(now, 20*ms, 0, 200)
	}
	if f := good.Load(now, 0).Failing; f > 0.02 {
		t.Errorf("%.3f failing after one failure and twenty answers", f)
	}
	if f := bad.Load(now+int64(2*time.Minute), 0).Failing; f != 0 {
		t.Errorf("failures are never forgotten: %v", f)
	}
	// Refusals are no failures, and no measure of speed.
	before := good.Load(now, 0).TTFB
	for range 50 {
		good.Answered(now, 10*time.Microsecond, 0, 404)
	}
	if l := good.Load(now, 0); l.TTFB != before || l.Failing > 0.02 {
		t.Errorf("after refusals %+v", l)
	}
}

// TestTimeOuts: a request that had no answer counts as a failure and as slow.
func TestTimeOuts(t *testing.T) {
	var s Stats
	now := int64(time.Second)
	s.Answered(now, 20*ms, 0, 200)
	s.TimedOut(now, time.Minute, 0)
	if l := s.Load(now, 0); l.TTFB <= 20*ms || l.TTFB > 40*ms || l.Failing != failureShare {
		t.Errorf("%+v", l)
	}
}

// TestClassesApart: a dear class does not make a member look slow in another, and its requests in
// flight weigh more than others, but less than by their time.
func TestClassesApart(t *testing.T) {
	const login Class = 1
	var a, b Stats
	now := int64(time.Minute)
	a.Use(now)
	b.Use(now)
	for range 50 {
		a.Answered(now, 10*ms, 0, 200)
		b.Answered(now, 10*ms, 0, 200)
		a.Answered(now, time.Second, login, 200) // b had no login yet
	}
	if l := a.Load(now, 0); l.TTFB != 10*ms {
		t.Errorf("logins count in the average of others: %v", l.TTFB)
	}
	if c := costOf(now, 0, &a, &b); c[0] != c[1] {
		t.Errorf("equal members cost %v", c)
	}
	// Without a sample of a class: what the others take, as fast or slow as it is else.
	if c := costOf(now, login, &a, &b); c[0] != c[1] {
		t.Errorf("a login costs %v, want the same at the one that had none", c)
	}
	var slow Stats
	slow.Use(now)
	for range 50 {
		slow.Answered(now, 40*ms, 0, 200)
	}
	if c := costOf(now, login, &a, &slow); c[1] < 1.5*c[0] {
		t.Errorf("a login costs %v, want more where everything else is slow", c)
	}
	// One login in flight weighs like some of the others.
	a.Begin(now, login, 0)
	one := costOf(now, 0, &a, &b)
	for range 8 {
		b.Begin(now, 0, 0)
	}
	eight := costOf(now, 0, &a, &b)
	if one[0] <= 2*one[1] || eight[0] >= eight[1] {
		t.Errorf("with a login in flight %v, against eight others %v", one, eight)
	}
	a.End(now, login)
	if n := a.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// TestUnusedFades: a slow member is tried again after a while, sooner where requests are frequent,
// and only while others get some.
func TestUnusedFades(t *testing.T) {
	var fast, slow Stats
	const second = int64(time.Second)
	fast.Answered(second, 10*ms, 0, 200)
	slow.Answered(second, 200*ms, 0, 200)
	slow.Use(second)
	tried := func(every time.Duration) (after time.Duration) {
		for now := second; now < 1000*second; now += int64(every) {
			fast.Use(now - int64(every))
			if c := costOf(now, 0, &fast, &slow); c[1] <= c[0]*(1+equalWithin) {
				return time.Duration(now - second)
			}
		}
		return 0
	}
	often, rarely := tried(100*ms), tried(30*time.Second)
	if often < 5*time.Second || often > 30*time.Second {
		t.Errorf("with ten requests a second it is tried after %v", often)
	}
	if rarely < 5*time.Minute {
		t.Errorf("with two requests a minute it is tried after %v", rarely)
	}
	fast.Use(second)
	if c := costOf(500*second, 0, &fast, &slow); c[1] < 10*c[0] {
		t.Errorf("nobody was used, and it costs %v", c)
	}
}

// TestShunning walks the state diagram of the balancer's package text.
func TestShunning(t *testing.T) {
	var s Stats
	now := int64(time.Minute)
	s.Unreachable(now)
	if !s.Load(now, 0).Shunned {
		t.Fatal("not shunned after a refused connect")
	}
	later := now + int64(1100*ms)
	if s.Load(later, 0).Shunned {
		t.Fatal("still shunned after a second")
	}
	s.Begin(later, 0, time.Second)
	if !s.Load(later+int64(ms), 0).Shunned {
		t.Error("a second request may go there while the trial is under way")
	}
	s.End(later, 0)
	s.Unreachable(later)
	if !s.Load(later+int64(1500*ms), 0).Shunned {
		t.Error("the second failure in a row does not last longer")
	}
	s.Answered(later, ms, 0, 200)
	if s.Load(later, 0).Shunned {
		t.Error("still shunned after an answer")
	}
}

// TestVendorMean is the mean of answers with 200 over the last whole interval.
func TestVendorMean(t *testing.T) {
	var s Stats
	const second = int64(time.Second)
	for i := range int64(13) { // 8 s to 20 s
		now := (8 + i) * second
		s.Answered(now, time.Duration(i)*ms, 0, 200)
		s.Answered(now, time.Duration(i)*ms, 2, 200)
		s.Answered(now, time.Hour, 0, 302)
		s.Answered(now, time.Hour, 0, 500)
		want := time.Duration(0)
		if now >= 15*second {
			want = 3 * ms // of 0 to 6
		}
		if got := s.Load(now, 0).OK200; got != want {
			t.Errorf("at %d s: %v, want %v", now/second, got, want)
		}
	}
}

// TestStatsTogether lets writers and readers run beside each other, for the race detector, and
// looks at what must hold in the end.
func TestStatsTogether(t *testing.T) {
	var s Stats
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			class := Class(w % MaxClasses)
			for i := range 500 {
				now := int64(i) * int64(ms)
				s.Begin(now, class, time.Second)
				switch {
				case i%50 == 7:
					s.Unreachable(now)
				case i%50 == 8:
					s.TimedOut(now, time.Second, class)
				default:
					s.Answered(now, 10*ms, class, 200)
				}
				if l := s.Load(now, class); l.InFlight < 1 || l.Failing < 0 || l.Failing > 1 {
					t.Errorf("%+v", l)
				}
				s.End(now, class)
			}
		})
	}
	all.Wait()
	if n := s.InFlight(); n != 0 {
		t.Errorf("%d in flight after all ended", n)
	}
}
