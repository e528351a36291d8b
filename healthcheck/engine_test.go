package healthcheck

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"switchpoint/internal/covers"
)

// tableOf is a compiled table whose probes are ask. All checks are under the monitor "m".
func tableOf(s Settings, m Monitor, ask prober, addresses ...string) *Table {
	m.Name, m.Kind = "m", "tcp"
	m = m.WithDefaults()
	t := &Table{settings: s.WithDefaults(), monitors: map[string]*monitor{
		"m": {def: m, rule: rule{fall: m.Fall, rise: m.Rise}, probe: ask},
	}}
	for _, a := range addresses {
		t.checks = append(t.checks, Key{Address: a, Monitor: "m"})
	}
	return t
}

// targets is a world of fake targets, each up unless said otherwise.
type targets struct {
	mu     sync.Mutex
	states map[string]State
	probed map[string][]time.Time
	takes  time.Duration // how long a probe of a target that is down takes
	now    atomic.Int64
	peak   atomic.Int64
}

func (w *targets) set(address string, s State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.states == nil {
		w.states = make(map[string]State)
	}
	w.states[address] = s
}

func (w *targets) times(address string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.probed[address])
}

func (w *targets) probe(ctx context.Context, address string) Result {
	w.mu.Lock()
	s := w.states[address]
	if s == Unknown {
		s = Up
	}
	if w.probed == nil {
		w.probed = make(map[string][]time.Time)
	}
	w.probed[address] = append(w.probed[address], time.Now())
	w.mu.Unlock()
	n := w.now.Add(1)
	defer w.now.Add(-1)
	for old := w.peak.Load(); n > old && !w.peak.CompareAndSwap(old, n); old = w.peak.Load() {
	}
	if s == Down && w.takes > 0 {
		select {
		case <-time.After(w.takes):
		case <-ctx.Done():
		}
	}
	return Result{State: s, Reason: "it is " + s.String(), At: time.Now(), Load: noLoad}
}

// started runs e until the test (and its bubble) ends.
func started(t *testing.T, e *Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func isReady(e *Engine) bool {
	select {
	case <-e.Ready():
		return true
	default:
		return false
	}
}

func TestEngineFirstRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &targets{}
		w.set("b:1", Down)
		w.set("c:1", Overloaded)
		e := New(Options{})
		a, b, c := e.Ref(Key{"a:1", "m"}), e.Ref(Key{"b:1", "m"}), e.Ref(Key{"c:1", "m"})
		e.SetTable(tableOf(Settings{}, Monitor{}, w.probe, "a:1", "b:1", "c:1"))
		if s := e.Snapshot(); s.Get(a).State != Unknown || s.Seq() != 0 || isReady(e) {
			t.Errorf("before Run: %+v", s.Get(a))
		}
		begin := time.Now()
		defer started(t, e)()
		<-e.Ready()
		if d := time.Since(begin); d > time.Second {
			t.Errorf("the first round took %v", d)
		}
		s := e.Snapshot()
		if s.Get(a).State != Up || s.Get(b).State != Down || s.Get(c).State != Overloaded {
			t.Errorf("first results: %v %v %v", s.Get(a), s.Get(b), s.Get(c))
		}
	})
}

func TestEngineStartDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &targets{takes: time.Hour}
		w.set("b:1", Down)
		e := New(Options{})
		e.SetTable(tableOf(Settings{StartDeadline: 3 * time.Second}, Monitor{}, w.probe, "a:1", "b:1"))
		begin := time.Now()
		defer started(t, e)()
		<-e.Ready()
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("ready after %v", d)
		}
		if s := e.Snapshot(); s.Get(e.Ref(Key{"a:1", "m"})).State != Up || s.Get(e.Ref(Key{"b:1", "m"})).State != Unknown {
			t.Error("the known is not served, or the unknown is")
		}
	})
}

func TestEngineEmptyTableIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{})
		defer started(t, e)()
		synctest.Wait()
		if isReady(e) {
			t.Error("ready without a table")
		}
		e.SetTable(tableOf(Settings{}, Monitor{}, nil))
		<-e.Ready()
	})
}

// Every check has its turn once per interval, at its own stable phase, within the jitter.
func TestEngineSchedule(t *testing.T) {
	covers.Req(t, "HK3")
	synctest.Test(t, func(t *testing.T) {
		const interval = 5 * time.Second
		w := &targets{}
		var addresses []string
		for i := range 200 {
			addresses = append(addresses, fmt.Sprintf("10.0.0.%d:1", i))
		}
		e := New(Options{})
		epoch := time.Now()
		e.SetTable(tableOf(Settings{}, Monitor{Interval: interval}, w.probe, addresses...))
		stop := started(t, e)
		time.Sleep(20 * interval)
		stop()
		for _, a := range addresses {
			times := w.times(a)
			if n := len(times); n < 20 || n > 21 {
				t.Fatalf("%s was probed %d times", a, n)
			}
			if d := times[0].Sub(epoch); d > time.Second {
				t.Errorf("%s was first probed after %v", a, d)
			}
			phase := time.Duration(Key{a, "m"}.hash() % uint64(interval))
			for i, at := range times[1:] {
				turn := at.Sub(epoch) - phase + wheelTick
				if off := turn % interval; off > interval/jitterShare+2*wheelTick {
					t.Errorf("%s: probe %d is %v off its phase", a, i+1, off)
				}
			}
		}
	})
}

// A few targets that hang cost neither the others their turn nor more than the allowed probes.
func TestEngineInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &targets{takes: 2 * time.Second}
		var addresses []string
		for i := range 100 {
			addresses = append(addresses, fmt.Sprintf("a%d:1", i))
			if i < 9 {
				w.set(addresses[i], Down)
			}
		}
		e := New(Options{})
		e.SetTable(tableOf(Settings{MaxInFlight: 10}, Monitor{}, w.probe, addresses...))
		defer started(t, e)()
		time.Sleep(time.Minute)
		if p := w.peak.Load(); p > 10 {
			t.Errorf("%d probes in flight", p)
		}
		for _, a := range addresses {
			if n := len(w.times(a)); n < 12 {
				t.Errorf("%s was probed %d times in a minute", a, n)
			}
		}
		// When every target hangs, the bound holds, and lowering it holds too.
		for i := range 100 {
			w.set(addresses[i], Down)
		}
		time.Sleep(time.Minute)
		if p := w.peak.Load(); p != 10 {
			t.Errorf("peak %d", p)
		}
		e.SetTable(tableOf(Settings{MaxInFlight: 2}, Monitor{}, w.probe, addresses[:20]...))
		time.Sleep(10 * time.Second)
		w.peak.Store(0)
		for i := range 20 {
			w.set(addresses[i], Up)
		}
		time.Sleep(time.Minute)
		if p := w.peak.Load(); p > 2 {
			t.Errorf("%d in flight after max_in_flight was lowered", p)
		}
		for _, s := range e.List() {
			if s.Status.State != Up {
				t.Errorf("%v", s)
			}
		}
	})
}

func TestEngineReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &targets{}
		m := Monitor{Interval: time.Second, Timeout: 100 * time.Millisecond}
		e := New(Options{})
		set := func(m Monitor, a ...string) { e.SetTable(tableOf(Settings{}, m, w.probe, a...)) }
		state := func(r Ref) State { return e.Snapshot().Get(r).State }
		set(m, "a:1", "b:1")
		defer started(t, e)()
		<-e.Ready()
		a, b := e.Ref(Key{"a:1", "m"}), e.Ref(Key{"b:1", "m"})
		before := e.Snapshot().Get(a).Since

		// The same definition keeps state and counters; the probes go on in phase.
		w.set("a:1", Down)
		time.Sleep(2 * time.Second)
		set(m, "a:1", "b:1")
		if s := e.List()[0]; s.Fails != 2 || s.Status.State != Up || !s.Status.Since.Equal(before) || s.Ref != a {
			t.Errorf("after the same table: %+v", s)
		}
		// A changed definition judges anew from the state that holds.
		m.Fall = 2
		set(m, "a:1", "b:1")
		if s := e.List()[0]; s.Fails != 0 || s.Status.State != Up {
			t.Errorf("after a changed table: %+v", s)
		}
		time.Sleep(3 * time.Second)
		if state(a) != Down {
			t.Errorf("a is %v", state(a))
		}
		// Dropped: not probed, index and state kept for one generation, then free for others.
		set(m, "b:1")
		seen := len(w.times("a:1"))
		if len(e.List()) != 1 || state(a) != Down {
			t.Error("a dropped check is listed, or its state is gone before the old tables are")
		}
		other := e.Ref(Key{"x:1", "m"}) // never comes into a table: its index is freed alike
		if other == a || other == b {
			t.Errorf("the index %d was given away in the generation of grace", other)
		}
		set(m, "b:1")
		if state(a) != Down {
			t.Error("the index was taken back right after the second table")
		}
		time.Sleep(time.Minute)
		set(m, "b:1")
		if len(w.times("a:1")) != seen || state(a) != Unknown {
			t.Errorf("a reclaimed check: %v", state(a))
		}
		if d := e.Ref(Key{"d:1", "m"}); d != a && d != other {
			t.Errorf("the free indices %d and %d were not used, but %d", a, other, d)
		}
		if state(b) != Up {
			t.Errorf("b is %v", state(b))
		}
		// Wanted by a room, but dropped again before it came into a table.
		c := e.Ref(Key{"c:1", "m"})
		set(m, "b:1")
		if again := e.Ref(Key{"c:1", "m"}); again != c {
			t.Errorf("a wanted index changed from %d to %d", c, again)
		}
	})
}

// A check that comes back in the generation of grace has its index, but no stale state.
func TestEngineReloadComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &targets{takes: 300 * time.Millisecond}
		w.set("a:1", Down)
		m := Monitor{Interval: time.Second, Timeout: 400 * time.Millisecond}
		e := New(Options{})
		e.SetTable(tableOf(Settings{}, m, w.probe, "a:1"))
		defer started(t, e)()
		<-e.Ready()
		a := e.Ref(Key{"a:1", "m"})
		time.Sleep(time.Until(w.times("a:1")[0].Add(time.Hour)))
		for w.now.Load() == 0 { // a probe is under way
			time.Sleep(wheelTick)
		}
		e.SetTable(tableOf(Settings{}, m, w.probe))
		e.SetTable(tableOf(Settings{}, m, w.probe, "a:1"))
		if again := e.Ref(Key{"a:1", "m"}); again != a || e.Snapshot().Get(a).State != Unknown {
			t.Errorf("index %d, then %d in state %v", a, again, e.Snapshot().Get(a).State)
		}
		w.set("a:1", Up)
		time.Sleep(310 * time.Millisecond) // the old probe ends: it must not count
		if s := e.Snapshot().Get(a).State; s == Down {
			t.Error("a probe from before counts")
		}
		time.Sleep(time.Second)
		if s := e.Snapshot().Get(a).State; s != Up {
			t.Errorf("state %v", s)
		}
	})
}

// A change of state is seen at once; a storm of changes costs few snapshots.
func TestEnginePublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &targets{}
		var addresses []string
		for i := range 2000 {
			addresses = append(addresses, fmt.Sprintf("a%d:1", i))
		}
		m := Monitor{Interval: 5 * time.Second, Fall: 1}
		e := New(Options{})
		e.SetTable(tableOf(Settings{}, m, w.probe, addresses...))
		defer started(t, e)()
		time.Sleep(time.Minute)
		calm := e.Snapshot().Seq()
		time.Sleep(time.Minute)
		if n := e.Snapshot().Seq() - calm; n > 65 {
			t.Errorf("%d snapshots in a minute without a change", n)
		}
		for _, a := range addresses {
			w.set(a, Down)
		}
		before := e.Snapshot().Seq()
		time.Sleep(6 * time.Second)
		if n := e.Snapshot().Seq() - before; n > 1300 {
			t.Errorf("%d snapshots for 2000 changes", n)
		}
		for _, s := range e.List() {
			if s.Status.State != Down || e.Snapshot().Get(s.Ref).State != Down {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func TestEngineRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &targets{takes: time.Hour}
		w.set("a:1", Down)
		e := New(Options{})
		e.SetTable(tableOf(Settings{}, Monitor{}, w.probe, "a:1"))
		stop := started(t, e)
		time.Sleep(2 * time.Second) // the probe hangs
		stop()
		if err := e.Run(t.Context()); err != errStarted {
			t.Errorf("second Run: %v", err)
		}
		if s := e.List()[0]; s.Status.State != Unknown {
			t.Errorf("an interrupted probe counts: %+v", s)
		}
	})
}
