package healthcheck

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestModeOfATarget: the mode that a target says stands in its status, with since when, is published at
// once, is shown, and is counted under labels that no target can make up.
func TestModeOfATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		e := New(Options{Metrics: reg})
		key := Key{"a:1", "m"}
		var says atomic.Pointer[Result]
		table := modeTable(t, &says, key)
		say := func(state State, mode string) {
			r := Result{State: state, Reason: "said by the test", Load: noLoad}
			r.Load.Mode = mode
			says.Store(&r)
		}
		counted := func(want string) {
			t.Helper()
			if want != "" {
				want = "# HELP switchpoint_health_modes " + modesHelp(t, reg) + "\n# TYPE switchpoint_health_modes gauge\n" + want
			}
			if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "switchpoint_health_modes"); err != nil {
				t.Error(err)
			}
		}
		say(Up, "")
		e.SetTable(table)
		defer started(t, e)()
		<-e.Ready()
		is := func(mode string, since time.Time) {
			t.Helper()
			synctest.Wait()
			if s := e.Snapshot().Get(e.Ref(key)); s.Load.Mode != mode || !s.ModeSince.Equal(since) {
				t.Errorf("mode %q since %v, want %q since %v", s.Load.Mode, s.ModeSince, mode, since)
			}
		}
		// Results are a second apart, at a phase that is the check's own.
		next := func() time.Time {
			t.Helper()
			before := e.List()[0].Last.At
			for range 200 {
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
				if at := e.List()[0].Last.At; at.After(before) {
					return at
				}
			}
			t.Fatal("there was no probe")
			return time.Time{}
		}
		is("", time.Time{})
		counted("")

		say(Up, "normal")
		first := next()
		is("normal", first)
		next()
		is("normal", first) // since when, not when last
		counted(`switchpoint_health_modes{mode="normal",monitor="m"} 1` + "\n")

		say(Up, "hostcache")
		second := next()
		is("hostcache", second)
		counted("switchpoint_health_modes{mode=\"hostcache\",monitor=\"m\"} 1\nswitchpoint_health_modes{mode=\"normal\",monitor=\"m\"} 0\n")
		if d, _ := e.Show(key); !strings.Contains(strings.Join(d.Lines(), "\n"), `mode "hostcache" since `+second.UTC().Format(time.DateTime)) {
			t.Errorf("%q", d.Lines())
		}

		say(Down, "")
		next()
		is("hostcache", second) // one failure of two: it is what it was

		next()
		next()
		is("", time.Time{}) // down: nothing is known of its mode
		say(Up, "leased,normal")
		for range 3 {
			next()
		}
		say(Up, "made-up-7")
		next()
		counted(`switchpoint_health_modes{mode="hostcache",monitor="m"} 0
switchpoint_health_modes{mode="normal",monitor="m"} 0
switchpoint_health_modes{mode="other",monitor="m"} 1
switchpoint_health_modes{mode="several",monitor="m"} 0
`)
		e.SetTable(emptyTable(t)) // neither the monitor nor its series are left
		counted("")
	})
}

func modeTable(t *testing.T, says *atomic.Pointer[Result], keys ...Key) *Table {
	t.Helper()
	table, err := Compile(Config{
		Monitors: []Monitor{{Name: "m", Kind: "tcp", Interval: time.Second, Timeout: 100 * time.Millisecond, Fall: 2, Rise: 2}},
		Checks:   keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	table.monitors["m"].probe = func(context.Context, string) Result { r := *says.Load(); r.At = time.Now(); return r }
	return table
}

func emptyTable(t *testing.T) *Table {
	t.Helper()
	table, err := Compile(Config{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// modesHelp is the help text as it is registered.
func modesHelp(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "switchpoint_health_modes" {
			return f.GetHelp()
		}
	}
	t.Fatal("no mode is counted")
	return ""
}

// TestModeOfAMember: a member has the mode of the check that its load is of.
func TestModeOfAMember(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := emptyPage()
	p[0] = Status{State: Up, Load: noLoad}
	p[1] = Status{State: Up, Load: Load{Active: 3, Capacity: 9, Mode: "hostcache"}, ModeSince: at}
	snap := &Snapshot{pages: []*page{p}}
	if s := snap.Member(Member{Refs: []Ref{0, 1}}); s.Load.Mode != "hostcache" || !s.ModeSince.Equal(at) {
		t.Errorf("mode %q since %v", s.Load.Mode, s.ModeSince)
	}
}
