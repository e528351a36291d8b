package nodes

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

var monday = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return monday.Add(time.Duration(seconds) * time.Second) }

func health(s healthcheck.State, since int) healthcheck.Status {
	return healthcheck.Status{State: s, Reason: "as " + s.String(), Since: at(since), At: at(since), Load: noLoad}
}

// among is node "here" with others, without anything running.
func among(t *testing.T, c Config) *Nodes {
	t.Helper()
	n, err := New(Options{Config: c, Name: "here", Call: noCall})
	if err != nil {
		t.Fatal(err)
	}
	n.SetChecks(map[healthcheck.Key]healthcheck.Ref{{Address: "192.0.2.1:443", Monitor: "web"}: 0})
	return n
}

func TestSettle(t *testing.T) {
	override := health(down, 0)
	override.Source = healthcheck.FromOverride
	held := health(down, 0)
	held.Source = healthcheck.FromHold
	window := health(maintenance, 0)
	window.Source = healthcheck.FromMaintenance
	stale := health(up, 0)
	stale.Source = healthcheck.FromRestart
	cut := sight{missed: 2, seen: at(0)}
	suspect := sight{missed: 1, seen: at(0)}
	back := sight{seen: at(30), lost: at(0), back: at(30)}
	for name, tc := range map[string]struct {
		sight  sight
		own    healthcheck.Status
		others []healthcheck.State
		kept   healthcheck.State
		want   healthcheck.State
		frozen bool
		reason string
	}{
		"alone, it decides alone":               {own: health(down, 0), want: down, reason: "as down"},
		"alone, it knows nothing":               {own: health(unknown, 0), want: unknown, reason: "as unknown"},
		"outvoted":                              {own: health(down, 0), others: []healthcheck.State{up, up}, want: up, reason: "up by 2 of 3: a, b; here says down; down takes 2"},
		"others without a view":                 {own: health(down, 0), others: []healthcheck.State{unknown}, want: down, reason: "as down"},
		"an override stands":                    {own: override, others: []healthcheck.State{up, up}, want: down, reason: "as down"},
		"a hold stands":                         {own: held, others: []healthcheck.State{up, up}, want: down, reason: "as down"},
		"a window stands":                       {own: window, others: []healthcheck.State{up, up}, want: maintenance, reason: "as maintenance"},
		"an override stands on a blind node":    {sight: cut, own: override, want: down, reason: "as down"},
		"others know better than a restart":     {own: stale, others: []healthcheck.State{down}, want: down, reason: "down by 1 of 1: a: told"},
		"after a restart, alone":                {own: stale, want: up, reason: "as up"},
		"blind, others decide":                  {sight: cut, own: health(down, 1), others: []healthcheck.State{up, up}, want: up, reason: "up by 2 of 2: a, b (this node is blind: it reaches none of its anchors)"},
		"blind, others see it down":             {sight: cut, own: health(up, 1), others: []healthcheck.State{down, down}, want: down, reason: "down by 2 of 2: a, b: told (this node is blind: it reaches none of its anchors)"},
		"blind and alone":                       {sight: cut, own: health(down, 1), kept: up, want: up, frozen: true, reason: "frozen as up: this node reaches none of its anchors, and no other node; before: as up"},
		"blind and alone from the start":        {sight: cut, own: health(down, 1), want: unknown, frozen: true, reason: "frozen as unknown: this node reaches none of its anchors, and no other node; before: nothing is known"},
		"blind and alone after a restart":       {sight: cut, own: stale, want: up, frozen: true, reason: "frozen as up: this node reaches none of its anchors, and no other node; before: as up"},
		"down since an anchor last answered":    {sight: suspect, own: health(down, 1), kept: up, want: up, frozen: true, reason: "frozen as up: seen down only while this node did not reach its anchors; before: as up"},
		"down before an anchor last answered":   {sight: suspect, own: health(down, -1), kept: up, want: down, reason: "as down"},
		"sees again, down while it was blind":   {sight: back, own: health(down, 20), kept: up, want: up, frozen: true, reason: "frozen as up: seen down only while this node did not reach its anchors; before: as up"},
		"sees again, down before it was blind":  {sight: back, own: health(down, -1), kept: up, want: down, reason: "as down"},
		"sees again, down after that":           {sight: back, own: health(down, 31), kept: up, want: down, reason: "as down"},
		"sees again, others know of the target": {sight: back, own: health(down, 20), others: []healthcheck.State{down}, want: down, reason: "down by 1 of 1: a: told"},
	} {
		t.Run(name, func(t *testing.T) {
			n := among(t, Config{Members: []string{"a", "b"}, Anchors: []string{"192.0.2.1:1"}})
			n.sight = tc.sight
			if tc.kept != unknown {
				n.kept[0].Status = health(tc.kept, 0)
			}
			v := n.sight.observe(&tc.own)
			var ballots []ballot
			if v.state != unknown {
				ballots = append(ballots, ballot{"here", true, v})
			}
			for i, s := range tc.others {
				if s != unknown {
					b := ballot{node: string(rune('a' + i)), vote: vote{state: s, load: noLoad}}
					if s == down {
						b.reason = "told"
					}
					ballots = append(ballots, b)
				}
			}
			got := n.settle(tc.own, v, ballots, 0)
			if got.State != tc.want || got.frozen != tc.frozen || got.Reason != tc.reason {
				t.Errorf("%v, frozen %v, because %q", got.State, got.frozen, got.Reason)
			}
		})
	}
}

func TestDoubtEnds(t *testing.T) {
	back := sight{seen: at(30), lost: at(0), back: at(30)}
	h := health(down, 20)
	for _, tc := range []struct {
		at     int
		steady time.Duration
		want   bool
	}{
		{29, 0, true}, {49, 0, true}, {50, 0, false}, {50, 30 * time.Second, true}, {120, 30 * time.Second, false},
		{629, healthcheck.MaxSteady, true}, {630, healthcheck.MaxSteady, false}, // manual resume: no probe ends it
	} {
		h.At, h.Steady = at(tc.at), tc.steady
		if got := back.doubtful(&h); got != tc.want {
			t.Errorf("probed at %d s, steady for %s: doubtful %v", tc.at, tc.steady, got)
		}
	}
}

func TestSightAfterRounds(t *testing.T) {
	s := sight{}.after(true, at(0))
	if s = s.after(false, at(1)); s.blind() {
		t.Fatal("blind after one round")
	}
	if s = s.after(true, at(2)); s.blind() || !s.back.IsZero() {
		t.Fatal("one missed round counts as a blind time")
	}
	if s = s.after(false, at(3)).after(false, at(4)); !s.blind() {
		t.Fatal("sees after two rounds without an answer")
	}
	if s = s.after(false, at(5)).after(true, at(6)); s.blind() || !s.lost.Equal(at(2)) || !s.back.Equal(at(6)) {
		t.Fatalf("after it was blind: %+v", s)
	}
}

// A blind node's own view plays no part, whatever it is, and whatever the others say.
func TestBlindViewNeverMatters(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		state := func(name string) healthcheck.State {
			return healthcheck.State(rapid.IntRange(0, int(maintenance)).Draw(rt, name))
		}
		n := among(t, Config{Members: []string{"a", "b"}, Anchors: []string{"192.0.2.1:1"}})
		n.sight = sight{missed: 2, seen: at(0)}
		n.kept[0].Status = health(state("kept"), 0)
		var others []ballot
		for _, name := range []string{"a", "b"} {
			if s := state(name); s != unknown {
				others = append(others, says(name, s))
			}
		}
		settle := func(own healthcheck.Status) settled {
			return n.settle(own, n.sight.observe(&own), others, 0)
		}
		if one, other := settle(health(state("one"), 1)), settle(health(state("other"), 2)); one != other {
			rt.Fatalf("%+v\n%+v", one, other)
		}
	})
}

func TestKeptIsWhatAnAnchorConfirmed(t *testing.T) {
	n := among(t, Config{Anchors: []string{"192.0.2.1:1"}})
	key, now := 0, time.Now()
	decide := func(s healthcheck.State, since time.Time) healthcheck.Status {
		h := health(s, 0)
		h.Since, h.At = since, since
		n.agreed = []settled{n.settle(h, n.sight.observe(&h), nil, key)}
		if v := n.sight.observe(&h); v.state != unknown {
			n.agreed = []settled{n.settle(h, v, []ballot{{"here", true, v}}, key)}
		}
		return n.agreed[key].Status
	}
	n.looked(true)
	decide(up, now)
	n.looked(true) // confirms up
	n.looked(false)
	if got := decide(down, time.Now()); got.State != up {
		t.Fatalf("in doubt: %v because %s", got.State, got.Reason)
	}
	n.looked(false)
	for range 2 {
		if got := decide(down, time.Now()); got.State != up || strings.Count(got.Reason, "frozen") != 1 {
			t.Fatalf("blind: %v because %s", got.State, got.Reason)
		}
	}
	lost := time.Now()
	n.looked(true)
	if got := decide(down, lost); got.State != up {
		t.Fatalf("it sees again: %v because %s", got.State, got.Reason)
	}
	if got := decide(down, time.Now().Add(time.Second)); got.State != down {
		t.Fatalf("down since it sees again: %v because %s", got.State, got.Reason)
	}
}

func TestNodeAloneReadsItsOwnSnapshot(t *testing.T) {
	n, err := New(Options{Name: "here"})
	if err != nil {
		t.Fatal(err)
	}
	n.SetChecks(map[healthcheck.Key]healthcheck.Ref{{Address: "192.0.2.1:443", Monitor: "web"}: 0})
	own := &healthcheck.Snapshot{}
	if got := n.Status(own)(0); got != own.Get(0) {
		t.Errorf("%+v", got)
	}
	if got := n.Operator(); got.Version != 0 || got.Mode != "" || len(got.Overrides) != 0 {
		t.Errorf("operators have said %+v", got)
	}
	if got := n.Show(); len(got) != 1 || !got[0].Self || !got[0].Newest || got[0].Document != (steer.Stamp{}) {
		t.Errorf("%+v", got)
	}
}
