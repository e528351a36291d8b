package healthcheck

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/internal/covers"
)

func (w *world) report(name string, n int, o Outcome) {
	w.t.Helper()
	ref := w.e.Ref(keyOf(name))
	for range n {
		w.e.Report(ref, o)
	}
	time.Sleep(10 * time.Millisecond)
}

func TestGrade(t *testing.T) {
	f := func(o Outcome, want grade, why string) {
		t.Helper()
		if g := o.grade(); g != want || g == bad && sayWhy(o.why()) != why {
			t.Errorf("%+v: %v %q", o, g, sayWhy(o.why()))
		}
	}
	f(Outcome{}, good, "")
	f(Outcome{Status: 200}, good, "")
	f(Outcome{Status: 404}, good, "") // the client's fault
	f(Outcome{Status: 500}, bad, "status 500")
	f(Outcome{Status: 504}, bad, "status 504")
	f(Outcome{Status: 503}, busy, "") // never a failure
	f(Outcome{Traffic: Refused}, bad, "connection refused")
	f(Outcome{Traffic: Reset}, bad, "connection reset")
	f(Outcome{Traffic: TimedOut, Status: 200}, bad, "timed out")
}

// The window of a cell is that of a plain list of the newest outcomes.
func TestCellWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, maxPassiveWindow).Draw(t, "window")
		var c cell
		var list []grade
		for _, g := range rapid.SliceOfN(rapid.SampledFrom([]grade{good, bad, busy}), 1, 80).Draw(t, "grades") {
			b := c.shift(g)
			list = append(list, g)
			fails, busies := 0, 0
			for _, old := range list[max(0, len(list)-window):] {
				switch old {
				case bad:
					fails++
				case busy:
					busies++
				}
			}
			if failsIn(b, uint32(window)) != fails || failsIn(b>>32, uint32(window)) != busies {
				t.Fatalf("%v: %d %d, want %d %d", list, failsIn(b, uint32(window)), failsIn(b>>32, uint32(window)), fails, busies)
			}
		}
	})
}

func TestReportCostsNothing(t *testing.T) {
	e := New(Options{})
	e.SetTable(tableOf(Settings{}, Monitor{}, nil, "a:1"))
	ref := e.Ref(Key{"a:1", "m"})
	for _, o := range []Outcome{{Status: 200}, {Traffic: Refused}, {Status: 503}} {
		if n := testing.AllocsPerRun(100, func() { e.Report(ref, o) }); n != 0 {
			t.Errorf("%+v: %v allocations", o, n)
		}
	}
	e.Report(NoRef, Outcome{})
	e.Report(ref+1000, Outcome{})
	New(Options{}).Report(0, Outcome{})
}

// An ejection is not undone by passing probes, ends with trial traffic, comes back for longer when
// the trial fails, and ends early when traffic succeeds.
func TestEjection(t *testing.T) {
	monitors := map[string]Judging{"m": {PassiveHold: 10 * s}}
	all := []string{"a:1/m", "b:1/m", "c:1/m"}
	inWorld(t, monitors, all, func(w *world) {
		w.report("b:1/m", 10, Outcome{Status: 200})
		w.report("c:1/m", 10, Outcome{Status: 200})
		w.report("a:1/m", 4, Outcome{Traffic: TimedOut})
		w.is(0, "a:1/m", Up, FromProbes, "")
		w.report("a:1/m", 1, Outcome{Traffic: TimedOut})
		w.is(0, "a:1/m", Down, FromTraffic, "traffic fails: 5 of the last 10 requests, the newest: timed out")
		w.report("a:1/m", 3, Outcome{Traffic: TimedOut})
		w.is(9*s, "a:1/m", Down, FromTraffic, "")
		w.is(2*s, "a:1/m", Up, FromProbes, "")
		w.report("a:1/m", 1, Outcome{Traffic: Reset}) // the trial fails: one is enough
		w.is(0, "a:1/m", Down, FromTraffic, "connection reset")
		w.is(19*s, "a:1/m", Down, FromTraffic, "")
		w.is(2*s, "a:1/m", Up, FromProbes, "")
		w.report("a:1/m", 10, Outcome{Status: 200})
		w.report("a:1/m", 4, Outcome{Traffic: Reset})
		w.is(0, "a:1/m", Up, FromProbes, "")
		w.report("a:1/m", 1, Outcome{Traffic: Reset})
		w.is(0, "a:1/m", Down, FromTraffic, "")
		w.report("a:1/m", 5, Outcome{Status: 200}) // traffic goes on, and succeeds
		w.is(0, "a:1/m", Up, FromProbes, "")
		if n := w.logged(`"source":"traffic"`); n != 3 {
			t.Errorf("%d ejections logged", n)
		}
	})
}

// What all members share ejects none of them, even when one is seen first, and a pool of which
// only the traffic fails still serves (HK4).
func TestSharedFailureEjectsNone(t *testing.T) {
	covers.Req(t, "HK4")
	monitors := map[string]Judging{"m": {}}
	all := []string{"a:1/m", "b:1/m", "c:1/m", "d:1/m"}
	inWorld(t, monitors, all, func(w *world) {
		for range 3 { // evenly balanced traffic while the database is away
			for _, name := range all {
				w.report(name, 2, Outcome{Status: 500})
			}
		}
		for _, name := range all {
			w.is(0, name, Up, FromProbes, "")
		}
		if n := w.logged("a cause that they share"); n != 1 {
			t.Errorf("said %d times", n)
		}
	})
	inWorld(t, monitors, all, func(w *world) { // one by one: two go, the third shows that it is shared
		for _, name := range all {
			w.report(name, 1, Outcome{Status: 200})
		}
		w.report("a:1/m", 5, Outcome{Status: 500})
		w.report("b:1/m", 5, Outcome{Status: 500})
		w.is(0, "a:1/m", Down, FromTraffic, "status 500")
		w.is(0, "b:1/m", Down, FromTraffic, "status 500")
		w.report("c:1/m", 5, Outcome{Status: 500})
		for _, name := range all {
			w.is(0, name, Up, FromProbes, "")
		}
	})
	st := []Status{{State: Down, Source: FromProbes}, {State: Down, Source: FromTraffic}, {State: Maintenance}}
	if got, why := Serving(nil, st); len(got) != 1 || got[0] != 1 || why != reasonEjected {
		t.Errorf("%v: %s", got, why)
	}
}

// 503 in traffic is overload, never a failure.
func TestTrafficSays503(t *testing.T) {
	inWorld(t, map[string]Judging{"m": {}, "deaf": {NoPassive: true}}, []string{"a:1/m", "a:1/deaf"}, func(w *world) {
		w.report("a:1/m", 5, Outcome{Status: 503})
		w.report("a:1/deaf", 20, Outcome{Traffic: Refused})
		w.is(0, "a:1/m", Overloaded, FromProbes, "traffic says 503: 5 of the last 10 requests")
		w.is(0, "a:1/deaf", Up, FromProbes, "")
		w.is(5*s, "a:1/m", Up, FromProbes, "")
	})
}

// One failing member of a world that serves: the figures that `health show` gives of it.
func TestReportsAreShown(t *testing.T) {
	inWorld(t, map[string]Judging{"m": {}}, []string{"a:1/m"}, func(w *world) {
		w.report("a:1/m", 7, Outcome{Status: 200})
		w.report("a:1/m", 2, Outcome{Traffic: Reset})
		w.report("a:1/m", 1, Outcome{Status: 503})
		d, ok := w.e.Show(keyOf("a:1/m"))
		if want := (Reports{Served: 7, Failed: 2, Overloaded: 1, RecentFails: 2, Fall: 5, Window: 10}); !ok || d.Reports != want {
			t.Errorf("%+v", d.Reports)
		}
	})
}

func BenchmarkReport(b *testing.B) {
	e := New(Options{})
	e.SetTable(tableOf(Settings{}, Monitor{}, nil, "a:1"))
	ref := e.Ref(Key{"a:1", "m"})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e.Report(ref, Outcome{Status: 200})
		}
	})
}
