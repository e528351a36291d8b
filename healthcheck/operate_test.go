package healthcheck

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/internal/covers"
)

func TestForceAndRelease(t *testing.T) {
	inWorld(t, map[string]Judging{"m": {}, "n": {}}, []string{"a:1/m", "a:1/n", "b:1/m"}, func(w *world) {
		force := func(o Override) {
			t.Helper()
			o.Owner = "ann"
			if err := w.e.Force(o); err != nil {
				t.Fatal(err)
			}
		}
		force(Override{Pattern: "a:1", State: Draining, Reason: "change 7"})
		w.is(0, "a:1/m", Draining, FromOverride, "forced draining by ann: change 7") // at once
		w.is(0, "a:1/n", Draining, FromOverride, "")
		w.is(0, "b:1/m", Up, FromProbes, "")
		force(Override{Pattern: "*/m", State: Up, Expires: time.Now().Add(time.Minute)}) // the newer wins
		w.set("a:1/m", Down)
		w.is(5*s, "a:1/m", Up, FromOverride, "(until 2000-01-01 ")
		if d, _ := w.e.Show(keyOf("a:1/m")); d.Judged != Down || d.Last.State != Down {
			t.Errorf("the override covers what is measured: %+v", d)
		}
		w.is(time.Minute, "a:1/m", Draining, FromOverride, "") // the other one has expired
		if os := w.e.Overrides(); len(os) != 1 || os[0].Pattern != "a:1" || os[0].Set.IsZero() {
			t.Errorf("%+v", os)
		}
		if n, err := w.e.Release("nobody"); n != 0 || err != nil {
			t.Error(n, err)
		}
		if n, err := w.e.Release("a:1"); n != 1 || err != nil {
			t.Error(n, err)
		}
		w.is(0, "a:1/m", Down, FromProbes, "") // at once, exactly what is measured
		w.is(0, "a:1/n", Up, FromProbes, "")
		if err := w.e.Force(Override{Pattern: "x", State: Up}); err == nil {
			t.Error("an override without an owner is accepted")
		}
		// A check that comes later is covered too.
		force(Override{Pattern: "late:1", State: Maintenance})
		w.e.SetTable(w.table(map[string]Judging{"m": {}}, "late:1/m"))
		w.is(0, "late:1/m", Maintenance, FromOverride, "")
	})
}

// What operators said, manual-resume holds and the last states outlive a restart.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		monitors := map[string]Judging{"m": {}, "hold": {ManualResume: true}}
		checks := []string{"a:1/m", "b:1/m", "c:1/hold"}
		w := newWorld(t, dir, monitors, checks...)
		stop := started(t, w.e)
		<-w.e.Ready()
		w.set("b:1/m", Down)
		w.set("c:1/hold", Down)
		time.Sleep(4 * s)
		w.set("c:1/hold", Up)
		if err := w.e.Force(Override{Pattern: "a:1/*", State: Draining, Owner: "ann", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		w.is(4*s, "c:1/hold", Down, FromHold, "")
		since := w.status("b:1/m").Since
		stop()

		w = newWorld(t, dir, monitors, checks...)
		w.is(0, "a:1/m", Draining, FromOverride, "forced draining by ann")
		w.is(0, "b:1/m", Down, FromRestart, "stale, from before the restart: it is down")
		if st := w.status("b:1/m"); !st.Since.Equal(since) || st.At.IsZero() {
			t.Errorf("%+v, since %v", st, since)
		}
		w.set("b:1/m", Up)
		stop = started(t, w.e)
		synctest.Wait()
		if !isReady(w.e) {
			t.Error("the persisted states do not serve before the first round")
		}
		w.is(2*s, "b:1/m", Up, FromProbes, "") // the first result decides at once
		w.is(0, "c:1/hold", Down, FromHold, "")
		stop()

		time.Sleep(time.Hour) // what is this old does not serve, but a hold stands
		w = newWorld(t, dir, monitors, checks...)
		w.is(0, "b:1/m", Unknown, FromProbes, notYet)
		w.is(0, "a:1/m", Unknown, FromProbes, notYet) // its override has expired
		w.is(0, "c:1/hold", Down, FromHold, "")
	})
}

// A broken file is reported and set aside; the engine works without it.
func TestBrokenStateFiles(t *testing.T) {
	for name, content := range map[string]string{
		overridesFile: `{"overrides": [{"pattern": "a:1", "state": "sideways"}]}`,
		statesFile:    `{"saved": "yesterday"`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, dir, map[string]Judging{"m": {}}, "a:1/m")
		aside, err := filepath.Glob(filepath.Join(dir, name+".broken-*"))
		if err != nil || len(aside) != 1 || w.logged("set aside as") != 1 {
			t.Errorf("%s: set aside %v, log %s", name, aside, w.log.b.String())
		}
		if err := w.e.Force(Override{Pattern: "a:1", State: Down, Owner: "o"}); err != nil {
			t.Error(err)
		}
	}
	// A kept override that is not usable is left out, the others hold.
	dir := t.TempDir()
	both := `{"overrides": [{"pattern": "", "state": "down", "owner": "o"}, null, {"pattern": "a:1", "state": "down", "owner": "o"}]}`
	if err := os.WriteFile(filepath.Join(dir, overridesFile), []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, dir, map[string]Judging{"m": {}}, "a:1/m")
	if os := w.e.Overrides(); len(os) != 1 || w.status("a:1/m").State != Down {
		t.Errorf("%+v", os)
	}
	// A directory that is not there: the override is refused, and nothing is half-applied.
	w = newWorld(t, filepath.Join(dir, "gone"), map[string]Judging{"m": {}}, "a:1/m")
	if err := w.e.Force(Override{Pattern: "a:1", State: Down, Owner: "o"}); err == nil || len(w.e.Overrides()) != 0 {
		t.Errorf("%v, %v", err, w.e.Overrides())
	}
}

func TestSubscription(t *testing.T) {
	inWorld(t, map[string]Judging{"m": {}}, []string{"a:1/m"}, func(w *world) {
		sub := w.e.Subscribe()
		defer sub.Close()
		w.set("a:1/m", Down)
		for {
			snap, skipped, err := sub.Next(w.t.Context())
			if err != nil || skipped != 0 {
				t.Fatal(skipped, err)
			}
			if snap.Get(w.e.Ref(keyOf("a:1/m"))).State == Down {
				break
			}
		}
		before := w.e.Snapshot().Seq()
		time.Sleep(time.Minute) // a slow reader
		synctest.Wait()
		now := w.e.Snapshot().Seq()
		snap, skipped, err := sub.Next(w.t.Context())
		if err != nil || snap.Seq() != now || skipped != now-before-1 || skipped < 10 {
			t.Errorf("number %d of %d, skipped %d, %v", snap.Seq(), now, skipped, err)
		}
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		other := w.e.Subscribe()
		if _, _, err := other.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		other.Close()
	})
}

// Failures are kept apart from other events, equal ones are counted, and all of it is bounded.
func TestHistory(t *testing.T) {
	covers.Req(t, "HK3")
	inWorld(t, map[string]Judging{"m": {}}, []string{"a:1/m"}, func(w *world) {
		w.set("a:1/m", Down)
		time.Sleep(10 * s)
		w.set("a:1/m", Up)
		time.Sleep(10 * s)
		evs := w.e.History(keyOf("a:1/m"))
		var kinds []string
		for _, ev := range evs {
			if ev.Kind == Failed {
				kinds = append(kinds, "failed")
				if ev.Times < 8 || ev.Until.Sub(ev.At) < 7*s || ev.Reason != "it is down" {
					t.Errorf("%+v", ev)
				}
				continue
			}
			kinds = append(kinds, ev.From.String()+">"+ev.To.String())
		}
		if got := strings.Join(kinds, " "); got != "unknown>up failed up>down down>up" {
			t.Error(got)
		}
		if w.e.History(Key{"x:1", "m"}) != nil {
			t.Error("a check that nobody asked for has a history")
		}
		// The same address and monitor keep it over a reload.
		w.e.SetTable(w.table(map[string]Judging{"m": {ManualResume: true}}, "a:1/m"))
		if n := len(w.e.History(keyOf("a:1/m"))); n != len(evs) {
			t.Errorf("%d events after a reload, %d before", n, len(evs))
		}
	})
	var p past
	p.failed(Result{Reason: "the first"})
	for i := range 1000 {
		p.moved(transition{from: Up, to: Down, reason: "r"}, moment.Add(time.Duration(i)))
	}
	if n := len(p.moves); n != keptMoves || p.failures[0].reason != "the first" {
		t.Errorf("%d changes kept, %+v", n, p.failures)
	}
	for i := range 1000 {
		p.failed(Result{Reason: strings.Repeat("x", i%2), FirstBytes: make([]byte, firstBytes)})
	}
	if len(p.failures) != keptFailures || len(p.failures[0].bytes) != keptBytes {
		t.Error("failures are not bounded")
	}
}

func TestShow(t *testing.T) {
	inWorld(t, map[string]Judging{"m": {DependsOn: "gw:1/m2"}, "m2": {}}, []string{"a:1/m"}, func(w *world) {
		w.set("a:1/m", Down)
		time.Sleep(5 * s)
		if err := w.e.Force(Override{Pattern: "a:1", State: Up, Owner: "ann", Reason: "known"}); err != nil {
			t.Fatal(err)
		}
		d, ok := w.e.Show(keyOf("a:1/m"))
		if !ok {
			t.Fatal("not there")
		}
		var names []string
		for _, f := range d.Facts {
			names = append(names, f.Name+" "+f.State.String())
			if f.At.IsZero() || f.Source == "" || f.Reason == "" {
				t.Errorf("a fact without source, time or reason: %+v", f)
			}
		}
		if got := strings.Join(names, ", "); got != "observed down, judged down, override up, effective up" {
			t.Error(got)
		}
		text := strings.Join(d.Lines(), "\n")
		for _, want := range []string{"a:1/m is up since", "forced up by ann: known", "judged     down", "2 of 2 failures to fall", "depends on   gw:1/m2", "up > down", "failed: it is down"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
		if n := len(d.Lines()); n > 30 {
			t.Errorf("%d lines are more than a screen", n)
		}
		if _, ok := w.e.Show(Key{"x:1", "m"}); ok {
			t.Error("a check that nobody asked for is shown")
		}
	})
}

// A host with many checks that hang is asked only so often at once, and the others have their turn.
func TestHostBound(t *testing.T) {
	covers.Req(t, "HK3")
	synctest.Test(t, func(t *testing.T) {
		w := &targets{takes: 2 * s}
		var addresses []string
		for _, port := range strings.Split("1 2 3 4 5 6 7 8 9", " ") {
			addresses = append(addresses, "slow:"+port)
			w.set("slow:"+port, Down)
		}
		e := New(Options{})
		e.SetTable(tableOf(Settings{MaxPerHost: 3, MaxInFlight: 100}, Monitor{}, w.probe, append(addresses, "fine:1")...))
		defer started(t, e)()
		time.Sleep(time.Minute)
		if p := w.peak.Load(); p > 4 {
			t.Errorf("%d probes at once", p)
		}
		for _, a := range addresses {
			if n := len(w.times(a)); n < 8 {
				t.Errorf("%s was probed %d times", a, n)
			}
		}
		if n := len(w.times("fine:1")); n < 12 {
			t.Errorf("the other host was probed %d times", n)
		}
	})
}

// When one check of an address finds it refusing, the others look at once; the state still takes
// fall failures that an interval lies between.
func TestRefusalHurriesTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := map[string]Judging{"a": {}, "b": {}, "c": {}, "d": {}}
		w := newWorld(t, "", names, "x:1/a", "x:1/b", "x:1/c", "x:1/d", "y:1/a")
		for _, m := range w.e.monitors {
			m.def.Interval, m.def.IntervalDown, m.def.IntervalTransition = time.Minute, time.Minute, time.Minute
		}
		defer started(t, w.e)()
		time.Sleep(time.Minute)
		for name := range names {
			w.set("x:1/"+name, Down)
		}
		failing := func() (n int) {
			for _, c := range w.e.List() {
				if c.Fails > 0 && c.Key.Address == "x:1" {
					n++
				}
			}
			return n
		}
		for failing() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		first := time.Now()
		time.Sleep(50 * time.Millisecond)
		if n := failing(); n != 4 {
			t.Errorf("%d of 4 checks looked", n)
		}
		for w.status("x:1/a").State != Down || w.status("x:1/b").State != Down || w.status("x:1/c").State != Down || w.status("x:1/d").State != Down {
			if w.status("x:1/b").State == Down && time.Since(first) < 30*s {
				t.Fatal("down without an interval between the failures")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(first); d > 95*s {
			t.Errorf("down after %v", d)
		}
	})
}

// A time-out counts only when this process was on time; refusals always do.
func TestLateProbesExcuseTimeouts(t *testing.T) {
	inWorld(t, map[string]Judging{"m": {}}, []string{"silent:1/m", "refuses:1/m"}, func(w *world) {
		w.e.mu.Lock()
		w.e.monitors["m"].probe = func(_ context.Context, address string) Result {
			r := Result{State: Down, Reason: "refused", At: time.Now(), Load: noLoad}
			if address == "silent:1" {
				r.Reason, r.TimedOut, r.Total = "timed out", true, time.Minute // the deadline came late itself
			}
			return r
		}
		w.e.mu.Unlock()
		w.is(10*s, "silent:1/m", Up, FromProbes, "")
		w.is(0, "refuses:1/m", Down, FromProbes, "refused")
		if n := w.logged("health probes run late"); n != 1 || w.e.overrunning() != 1 {
			t.Errorf("said %d times, metric %v", n, w.e.overrunning())
		}
		if d, _ := w.e.Show(keyOf("silent:1/m")); !d.Last.Excused || !strings.HasPrefix(d.Last.Reason, "not counted, because this process was itself late by") {
			t.Errorf("%+v", d.Last)
		}
		w.e.mu.Lock()
		w.e.monitors["m"].probe = func(context.Context, string) Result {
			return Result{State: Down, Reason: "timed out", TimedOut: true, Total: 100 * time.Millisecond, At: time.Now(), Load: noLoad}
		}
		w.e.mu.Unlock()
		w.is(time.Minute, "silent:1/m", Down, FromProbes, "timed out")
		if n := w.logged("probes run on time again"); n != 1 || w.e.overrunning() != 0 {
			t.Errorf("said %d times, metric %v", n, w.e.overrunning())
		}
	})
}

func TestMetricsAreClean(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	e := New(Options{Metrics: reg})
	e.SetTable(tableOf(Settings{}, Monitor{}, nil, "a:1"))
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) != 0 {
		t.Errorf("%v, %v", problems, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	for _, want := range []string{"checks", "transitions_total", "probe_lateness_seconds", "probes_in_flight", "overrun", "probes_excused_total", "tls_handshakes_total", "connections_opened_total", "connections_reused_total"} {
		if !strings.Contains(strings.Join(names, " "), "switchpoint_health_"+want) {
			t.Errorf("no metric %s in %v", want, names)
		}
	}
}
