package healthcheck

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"switchpoint/internal/covers"
)

// world is an engine over fake targets, probed every second under the monitors given by name.
type world struct {
	t *testing.T
	*targets
	e   *Engine
	log *buffer
}

// newWorld runs an engine with the checks "address/monitor" until the test ends.
func newWorld(t *testing.T, dir string, monitors map[string]Judging, checks ...string) *world {
	t.Helper()
	w := &world{t: t, targets: &targets{}, log: &buffer{}}
	w.e = New(Options{Log: slog.New(slog.NewJSONHandler(w.log, nil)), StateDir: dir})
	w.e.SetTable(w.table(monitors, checks...))
	return w
}

func (w *world) table(monitors map[string]Judging, checks ...string) *Table {
	w.t.Helper()
	cfg := Config{Settings: Settings{}}
	for name, j := range monitors {
		cfg.Monitors = append(cfg.Monitors, Monitor{Name: name, Kind: "tcp", Interval: time.Second, Timeout: 100 * time.Millisecond, Fall: 2, Rise: 2, Judging: j})
	}
	for _, c := range checks {
		cfg.Checks = append(cfg.Checks, keyOf(c))
	}
	table, err := Compile(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, m := range table.monitors {
		m.probe = func(ctx context.Context, address string) Result { return w.probe(ctx, address+"/"+name) }
	}
	return table
}

func keyOf(name string) Key {
	address, monitor, _ := strings.Cut(name, "/")
	return Key{address, monitor}
}

func (w *world) status(name string) Status { return w.e.Snapshot().Get(w.e.Ref(keyOf(name))) }

// is waits for the given time and then wants the state.
func (w *world) is(after time.Duration, name string, state State, source Source, reason string) {
	w.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if s := w.status(name); s.State != state || s.Source != source || !strings.Contains(s.Reason, reason) {
		w.t.Errorf("%s is %v by %v (%s), want %v by %v (%s)", name, s.State, s.Source, s.Reason, state, source, reason)
	}
}

// soon waits until the reason says so, at most for the given time.
func (w *world) soon(within time.Duration, name string, state State, source Source, reason string) {
	w.t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if st := w.status(name); st.State == state && st.Source == source && strings.Contains(st.Reason, reason) {
			return
		}
	}
	w.is(0, name, state, source, reason)
}

func (w *world) logged(text string) int {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	return strings.Count(w.log.b.String(), text)
}

// inWorld runs f in a bubble with the engine started.
func inWorld(t *testing.T, monitors map[string]Judging, checks []string, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "", monitors, checks...)
		defer started(t, w.e)()
		<-w.e.Ready()
		f(w)
	})
}

const s = time.Second

// Every rule of HK2 through the whole engine. The figures are those of the monitor in each case;
// interval 1 s, fall 2, rise 2 where it says nothing else.
func TestJudgingThroughTheEngine(t *testing.T) {
	covers.Req(t, "HK2")
	one := []string{"a:1/m"}
	with := func(j Judging) map[string]Judging { return map[string]Judging{"m": j} }
	t.Run("rise and fall", func(t *testing.T) {
		inWorld(t, with(Judging{}), one, func(w *world) {
			w.is(0, "a:1/m", Up, FromProbes, "it is up")
			w.set("a:1/m", Down)
			w.soon(1200*time.Millisecond, "a:1/m", Up, FromProbes, "1 of 2 failures in a row")
			w.soon(1200*time.Millisecond, "a:1/m", Down, FromProbes, "it is down")
			w.set("a:1/m", Up)
			w.soon(1200*time.Millisecond, "a:1/m", Down, FromProbes, "1 of 2 successes in a row")
			w.soon(1200*time.Millisecond, "a:1/m", Up, FromProbes, "it is up")
		})
	})
	t.Run("k of n", func(t *testing.T) {
		inWorld(t, with(Judging{FallOf: 4}), one, func(w *world) {
			for range 8 { // every third result fails: two of any four in a row, never two in a row
				w.set("a:1/m", Down)
				time.Sleep(1100 * time.Millisecond)
				w.set("a:1/m", Up)
				time.Sleep(1900 * time.Millisecond)
			}
			if n := w.logged(`"to":"down"`); n == 0 {
				t.Error("2 failures of 4 are not seen")
			}
		})
	})
	t.Run("no success for t", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "", with(Judging{DownAfter: 5 * s}), "a:1/m")
			w.e.monitors["m"].rule.fall = 0 // the config said no fall
			defer started(t, w.e)()
			<-w.e.Ready()
			w.set("a:1/m", Down)
			w.is(4*s, "a:1/m", Up, FromProbes, "no success for")
			w.is(3*s, "a:1/m", Down, FromProbes, "it is down")
		})
	})
	t.Run("time until up", func(t *testing.T) {
		inWorld(t, with(Judging{TimeUntilUp: 5 * s}), one, func(w *world) {
			w.set("a:1/m", Down)
			w.is(3*s, "a:1/m", Down, FromProbes, "")
			w.set("a:1/m", Up)
			w.is(4*s, "a:1/m", Down, FromProbes, "succeeds since")
			w.is(4*s, "a:1/m", Up, FromProbes, "")
		})
	})
	t.Run("intervals", func(t *testing.T) {
		inWorld(t, with(Judging{IntervalTransition: 200 * time.Millisecond, IntervalDown: 10 * s}), one, func(w *world) {
			w.set("a:1/m", Down)
			w.is(1500*time.Millisecond, "a:1/m", Down, FromProbes, "") // the second failure came fast
			before := len(w.times("a:1/m"))
			time.Sleep(30 * s)
			if n := len(w.times("a:1/m")) - before; n < 2 || n > 4 {
				t.Errorf("%d probes in 30 s of a check that is down", n)
			}
		})
	})
	t.Run("manual resume", func(t *testing.T) {
		inWorld(t, with(Judging{ManualResume: true}), one, func(w *world) {
			w.set("a:1/m", Down)
			w.is(3*s, "a:1/m", Down, FromProbes, "")
			w.set("a:1/m", Up)
			w.is(time.Minute, "a:1/m", Down, FromHold, "manual_resume")
			if n, err := w.e.Release("a:*"); n != 1 || err != nil {
				t.Error(n, err)
			}
			w.is(0, "a:1/m", Up, FromProbes, "")
			w.is(time.Minute, "a:1/m", Up, FromProbes, "")
		})
	})
	t.Run("dependency", func(t *testing.T) {
		monitors := map[string]Judging{"m": {DependsOn: "gw:1/ping"}, "n": {DependsOn: "m"}, "ping": {}}
		inWorld(t, monitors, []string{"a:1/m", "a:1/n"}, func(w *world) {
			w.is(0, "a:1/n", Up, FromProbes, "")
			w.set("gw:1/ping", Down)
			w.set("a:1/m", Down)
			w.is(3*s, "gw:1/ping", Down, FromProbes, "")
			w.is(0, "a:1/m", Down, FromDependency, "depends on gw:1/ping, which is down")
			w.is(0, "a:1/n", Down, FromDependency, "depends on a:1/m, which is down")
			logged := w.logged(`"to":"down"`)
			if w.logged(`"address":"gw:1","monitor":"ping","from":"up","to":"down"`) != 1 || logged > 2 {
				t.Errorf("%d changes logged", logged)
			}
			w.set("gw:1/ping", Up)
			w.set("a:1/m", Up)
			w.is(5*s, "a:1/m", Up, FromProbes, "")
			w.is(0, "a:1/n", Up, FromProbes, "")
			if n := w.logged(`"source":"dependency"`); n != 0 {
				t.Errorf("%d changes by dependency are logged each", n)
			}
		})
	})
	t.Run("min n of several monitors", func(t *testing.T) {
		monitors := map[string]Judging{"m": {}, "n": {}, "o": {}}
		inWorld(t, monitors, []string{"a:1/m", "a:1/n", "a:1/o"}, func(w *world) {
			m := Member{Min: 2, Refs: []Ref{w.e.Ref(keyOf("a:1/m")), w.e.Ref(keyOf("a:1/n")), w.e.Ref(keyOf("a:1/o"))}}
			w.set("a:1/m", Down)
			time.Sleep(3 * s)
			if st := w.e.Snapshot().Member(m); st.State != Up {
				t.Errorf("2 of 3 are up: %+v", st)
			}
			w.set("a:1/n", Down)
			time.Sleep(3 * s)
			if st := w.e.Snapshot().Member(m); st.State != Down || st.Reason == "" {
				t.Errorf("1 of 3 is up: %+v", st)
			}
		})
	})
	t.Run("adaptive latency limit", func(t *testing.T) {
		inWorld(t, with(Judging{AdaptiveDivergence: "100%"}), one, func(w *world) {
			var slow atomic.Int64
			slow.Store(int64(5 * time.Millisecond))
			w.e.mu.Lock()
			w.e.monitors["m"].probe = func(context.Context, string) Result {
				return Result{State: Up, Reason: "ok", TTFB: time.Duration(slow.Load()), At: time.Now(), Load: noLoad}
			}
			w.e.mu.Unlock()
			w.is(15*s, "a:1/m", Up, FromProbes, "ok")
			slow.Store(int64(50 * time.Millisecond))
			w.is(3*s, "a:1/m", Down, FromProbes, "more than 100% over its mean of")
		})
	})
	t.Run("maintenance window", func(t *testing.T) {
		// The clock of a bubble begins at midnight UTC on Sat 2000-01-01.
		inWorld(t, with(Judging{Maintenance: []string{"Sat 00:10-00:20"}}), one, func(w *world) {
			w.is(9*time.Minute+59*s-time.Since(w.e.start), "a:1/m", Up, FromProbes, "")
			w.is(2*s, "a:1/m", Maintenance, FromMaintenance, "maintenance window Sat 00:10-00:20 UTC")
			w.is(10*time.Minute, "a:1/m", Up, FromProbes, "")
		})
	})
	t.Run("passive signals", func(t *testing.T) {
		inWorld(t, with(Judging{}), []string{"a:1/m", "b:1/m", "c:1/m"}, func(w *world) {
			a, b := w.e.Ref(keyOf("a:1/m")), w.e.Ref(keyOf("b:1/m"))
			for range 5 {
				w.e.Report(a, Outcome{Traffic: Refused})
				w.e.Report(b, Outcome{Status: 200})
			}
			w.is(10*time.Millisecond, "a:1/m", Down, FromTraffic, "traffic fails: 5 of the last 10 requests, the newest: connection refused")
			w.is(8*s, "a:1/m", Down, FromTraffic, "") // probes pass all the time
			w.is(3*s, "a:1/m", Up, FromProbes, "")
		})
	})
}
