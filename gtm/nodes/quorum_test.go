package nodes

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
)

const (
	unknown     = healthcheck.Unknown
	up          = healthcheck.Up
	overloaded  = healthcheck.Overloaded
	down        = healthcheck.Down
	draining    = healthcheck.Draining
	maintenance = healthcheck.Maintenance
)

// says is the ballot of a node; that of node "here" is the node's own.
func says(node string, s healthcheck.State) ballot {
	v := vote{state: s, load: noLoad, steady: 8 * time.Second}
	if s != up && s != unknown {
		v.reason = "why " + s.String()
	}
	return ballot{node, node == "here", v}
}

func TestAgree(t *testing.T) {
	for name, tc := range map[string]struct {
		ballots []ballot
		need    int
		want    healthcheck.State // unknown: there is nothing to agree on
		reason  string
	}{
		"nobody": {nil, 2, unknown, ""},
		"nobody has a view": {
			[]ballot{says("here", unknown), says("us", unknown)}, 2, unknown, ""},
		"all see it up": {
			[]ballot{says("here", up), says("uk", up), says("us", up)}, 2, up, ""},
		"one liar is outvoted": {
			[]ballot{says("here", up), says("uk", up), says("us", down)}, 2, up,
			"up by 2 of 3: here, uk; us says down; down takes 2"},
		"this node is outvoted": {
			[]ballot{says("here", down), says("uk", up), says("us", up)}, 2, up,
			"up by 2 of 3: uk, us; here says down; down takes 2"},
		"two of three": {
			[]ballot{says("here", up), says("uk", down), says("us", down)}, 2, down,
			"down by 2 of 3: uk, us (here: up): why down"},
		"all of three": {
			[]ballot{says("here", down), says("uk", down), says("us", down)}, 2, down,
			"down by 3 of 3: here, uk, us: why down"},
		"of two in touch both must": {
			[]ballot{says("here", down), says("uk", up)}, 2, up,
			"up by 1 of 2: uk; here says down; down takes 2"},
		"a view of one is enough where no other has one": {
			[]ballot{says("here", unknown), says("uk", down), says("us", unknown)}, 2, down,
			"down by 1 of 1: uk: why down"},
		"need all": {
			[]ballot{says("here", down), says("uk", down), says("us", up)}, 3, up,
			"up by 1 of 3: us; here says down, uk says down; down takes 3"},
		"need one": {
			[]ballot{says("here", up), says("uk", down), says("us", up)}, 1, down,
			"down by 1 of 3: uk (here: up): why down"},
		"most of those that are not down": {
			[]ballot{says("here", up), says("uk", overloaded), says("us", overloaded)}, 2, overloaded,
			"overloaded by 2 of 3: uk, us; here says up; down takes 2: why overloaded"},
		"of equals the most cautious": {
			[]ballot{says("here", up), says("uk", overloaded), says("us", draining), says("za", maintenance)}, 3, maintenance,
			"maintenance by 1 of 4: za; here says up, uk says overloaded, us says draining; down takes 3: why maintenance"},
		"as another node sees it": {
			[]ballot{says("here", unknown), says("uk", up), says("us", up)}, 2, up, "up by 2 of 2: uk, us"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := agree(tc.ballots, tc.need)
			if ok != (tc.want != unknown) || got.State != tc.want || got.Reason != tc.reason {
				t.Errorf("%v %v because %q\nwant %v because %q", ok, got.State, got.Reason, tc.want, tc.reason)
			}
		})
	}
}

func TestAgreeOnFigures(t *testing.T) {
	busy := func(node string, s healthcheck.State, active int) ballot {
		b := says(node, s)
		b.load = healthcheck.Load{Active: active, Capacity: 100, Mode: "normal"}
		b.ttfb = time.Duration(active) * time.Millisecond
		return b
	}
	for name, tc := range map[string]struct {
		ballots []ballot
		want    int // active and milliseconds; -1 and 0 for none
	}{
		"of this node": {[]ballot{busy("uk", up, 7), busy("here", up, 5)}, 5},
		"of this node also where others say another state": {[]ballot{busy("uk", overloaded, 7), busy("here", up, 5)}, 5},
		"of another where this one sees nothing":           {[]ballot{busy("uk", up, 7), busy("us", up, 9), says("here", down)}, 7},
		"of none where it is down":                         {[]ballot{busy("uk", down, 7), says("here", down)}, -1},
	} {
		got, _ := agree(tc.ballots, 2)
		if got.Load.Active != tc.want || got.TTFB != time.Duration(max(0, tc.want))*time.Millisecond {
			t.Errorf("%s: load %+v, %s", name, got.Load, got.TTFB)
		}
	}
	ejected := says("here", down)
	ejected.traffic = true
	if got, _ := agree([]ballot{ejected, says("uk", down)}, 2); got.Source != healthcheck.FromProbes {
		t.Errorf("down by probes and traffic comes from %v", got.Source)
	}
	if got, _ := agree([]ballot{ejected}, 1); got.Source != healthcheck.FromTraffic {
		t.Errorf("down by traffic comes from %v", got.Source)
	}
}

func TestAgreeOnSteadiness(t *testing.T) {
	holds := func(node string, s healthcheck.State, seconds int) ballot {
		b := says(node, s)
		b.steady = time.Duration(seconds) * time.Second
		return b
	}
	for name, tc := range map[string]struct {
		ballots []ballot
		want    int
	}{
		"up ends with the second": {[]ballot{holds("here", up, 1), holds("uk", up, 5), holds("us", up, 9)}, 5},
		// Two of three say down: it is over when two of the three have changed their minds.
		"down ends with the second":    {[]ballot{holds("here", down, 1), holds("uk", down, 5), holds("us", down, 9)}, 5},
		"overload with the first":      {[]ballot{holds("here", overloaded, 4), holds("uk", overloaded, 2)}, 2},
		"a difference can end at once": {[]ballot{holds("here", up, 4), holds("uk", up, 4), holds("us", down, 4)}, 0},
	} {
		if got, _ := agree(tc.ballots, 2); got.Steady != time.Duration(tc.want)*time.Second {
			t.Errorf("%s: %s, want %d s", name, got.Steady, tc.want)
		}
	}
}

func anyBallots() *rapid.Generator[[]ballot] {
	return rapid.Custom(func(t *rapid.T) []ballot {
		states := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) healthcheck.State {
			return healthcheck.State(rapid.IntRange(0, int(maintenance)).Draw(t, "state"))
		}), 0, 7).Draw(t, "states")
		out := make([]ballot, len(states))
		for i, s := range states {
			name := fmt.Sprintf("n%d", i)
			if i == 0 {
				name = "here"
			}
			out[i] = says(name, s)
			out[i].since = time.Unix(int64(i), 0)
			out[i].ttfb = time.Duration(i+1) * time.Millisecond
			out[i].traffic = s == down && rapid.Bool().Draw(t, "traffic")
			out[i].steady = time.Duration(rapid.IntRange(0, 9).Draw(t, "steady")) * time.Second
		}
		return out
	})
}

func tally(ballots []ballot) (views, downs int) {
	for _, b := range ballots {
		if b.state != unknown {
			views++
		}
		if b.state == down {
			downs++
		}
	}
	return views, downs
}

func TestAgreeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ballots, need := anyBallots().Draw(t, "ballots"), rapid.IntRange(1, 7).Draw(t, "need")
		got, ok := agree(ballots, need)
		views, downs := tally(ballots)

		// No wrong demotion, and none missed.
		if isDown := got.State == down; isDown != (views > 0 && downs >= min(need, views)) {
			t.Fatalf("%v with %d of %d, needing %d", got.State, downs, views, need)
		}
		if ok != (views > 0) || ok == (got.State == unknown) {
			t.Fatalf("agreed: %v on %v with %d views", ok, got.State, views)
		}
		// A state that nobody sees is never the result.
		if ok {
			seen := false
			for _, b := range ballots {
				seen = seen || b.state == got.State
			}
			if !seen {
				t.Fatalf("%v, which nobody says", got.State)
			}
		}
		// The order plays no part.
		turned := rapid.Permutation(ballots).Draw(t, "turned")
		if again, _ := agree(turned, need); again != got {
			t.Fatalf("in another order: %+v\nnot: %+v", again, got)
		}
		// Nor do nodes without a view.
		if again, _ := agree(append(turned, says("zz", unknown)), need); again != got {
			t.Fatalf("with one more that knows nothing: %+v\nnot: %+v", again, got)
		}
		// One more that says down never brings it up, one more that says up never takes it down.
		if more, _ := agree(append(ballots[:len(ballots):len(ballots)], says("zz", down)), need); got.State == down && more.State != down {
			t.Fatalf("one more down made it %v", more.State)
		}
		if more, _ := agree(append(ballots[:len(ballots):len(ballots)], says("zz", up)), need); ok && got.State != down && more.State == down {
			t.Fatal("one more up made it down")
		}
		// Nor does a change of mind in these directions.
		for i := range ballots {
			turned := append([]ballot(nil), ballots...)
			if turned[i].state == unknown {
				continue
			}
			turned[i].state = down
			if worse, _ := agree(turned, need); got.State == down && worse.State != down {
				t.Fatalf("%s turned down and made it %v", turned[i].node, worse.State)
			}
			turned[i].state = up
			if better, _ := agree(turned, need); got.State != down && better.State == down {
				t.Fatalf("%s turned up and made it down", turned[i].node)
			}
		}
	})
}

// TestAgreeOnMode: the mode is that of the node whose load it is, and so is since when.
func TestAgreeOnMode(t *testing.T) {
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	here, uk := says("here", up), says("uk", up)
	here.load.Mode, here.mode = "hostcache", since
	uk.load.Mode = "normal"
	f := func(mode string, since time.Time, ballots ...ballot) {
		t.Helper()
		if s, ok := agree(ballots, 2); !ok || s.Load.Mode != mode || !s.ModeSince.Equal(since) {
			t.Errorf("mode %q since %v, want %q since %v", s.Load.Mode, s.ModeSince, mode, since)
		}
	}
	f("hostcache", since, uk, here)
	f("normal", time.Time{}, uk, says("here", unknown)) // another node's report does not say since when
	f("", time.Time{}, says("uk", down), says("here", down))
}
