package mode

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func yes() Source          { return Source{Usable: true} }
func no(why string) Source { return Source{Why: why} }
func good(since time.Duration) Facts {
	return Facts{Answered: start, Good: start.Add(-since), Cache: yes(), Leases: yes(), Self: "b"}
}
func bad(ago time.Duration) Facts {
	return Facts{Answered: start.Add(-ago), Why: "no route", Cache: yes(), Leases: yes(), Self: "b"}
}

func TestNext(t *testing.T) {
	with := func(f Facts, change func(*Facts)) Facts { change(&f); return f }
	for _, tc := range []struct {
		name  string
		from  Mode
		facts Facts
		hold  time.Duration
		want  Mode
		why   string // a part of the reason
	}{
		{"start", "", good(0), 0, Normal, "the database answers"},
		{"all is well", Normal, good(time.Hour), 0, Normal, "the database answers"},
		{"one question failed", Normal, bad(1900 * time.Millisecond), 0, Normal, "no route"},
		{"lost", Normal, bad(2 * time.Second), 0, HostCache, "not answered for 2s: no route"},
		{"lost, no cache", Normal, with(bad(2*time.Second), func(f *Facts) { f.Cache = no("older than a day") }), 0, Leased, "older than a day"},
		{"lost, nothing at all", Normal, with(bad(2*time.Second), func(f *Facts) { f.Cache, f.Leases = no("none"), no("off") }), 0, Draining, "leases: off"},
		{"a peer has the database", Normal, with(bad(700*time.Millisecond), func(f *Facts) { f.Peer = "c" }), 0, Draining, "answer broker c"},
		{"a peer still has it", Draining, with(bad(time.Minute), func(f *Facts) { f.Peer = "c" }), 0, Draining, "answer broker c"},
		{"no peer has it any more", Draining, bad(time.Minute), 0, HostCache, ""},
		{"aside, and not sure", Draining, bad(time.Second), 0, Draining, ""},
		{"aside, it is back", Draining, good(0), 0, Normal, ""},
		{"outage", HostCache, bad(time.Hour), 0, HostCache, "does not answer: no route"},
		{"outage, a peer is normal again", HostCache, with(bad(time.Hour), func(f *Facts) { f.Peer = "c" }), 0, Draining, "broker c"},
		{"outage, the cache breaks", HostCache, with(bad(time.Hour), func(f *Facts) { f.Cache = no("damaged") }), 0, Leased, "damaged"},
		{"outage, the cache is back", Leased, bad(time.Hour), 0, HostCache, ""},
		{"back for 29 s", HostCache, good(29 * time.Second), 0, HostCache, "it has to for 30s"},
		{"back for 30 s", HostCache, good(30 * time.Second), 0, Normal, "nothing to merge"},
		{"back, with acts", HostCache, with(good(30*time.Second), func(f *Facts) { f.Unmerged = 3 }), 0, Recovering, "3 acts"},
		{"merging", Recovering, with(good(time.Minute), func(f *Facts) { f.Unmerged = 1 }), 0, Recovering, "1 acts"},
		{"merged", Recovering, good(time.Minute), 0, Normal, "merged"},
		{"lost while merging", Recovering, with(bad(3*time.Second), func(f *Facts) { f.Unmerged = 1 }), 0, HostCache, ""},
		{"acts of an earlier life", "", with(good(0), func(f *Facts) { f.Unmerged = 7 }), 0, Recovering, "earlier outage"},
		{"held down", HostCache, good(time.Minute), time.Minute, HostCache, "was lost"},
		{"hold is over", HostCache, good(time.Minute), -time.Second, Normal, ""},
		{"forced on", Normal, with(good(time.Hour), func(f *Facts) { f.Force = &Force{On: true, By: "anna", Why: "drill"} }), 0, HostCache, "by anna: drill"},
		{"forced on with nothing to serve from", Normal, with(good(time.Hour), func(f *Facts) {
			f.Force, f.Cache, f.Leases = &Force{On: true, By: "anna"}, no("none"), no("off")
		}), 0, Normal, "the database answers"},
		{"forced off", HostCache, with(bad(time.Hour), func(f *Facts) { f.Force = &Force{By: "anna"} }), time.Hour, Normal, "forced out"},
		{"the word is over", Normal, with(good(time.Hour), func(f *Facts) { f.Force = &Force{On: true, Until: start} }), 0, Normal, "answers"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := State{Mode: tc.from, Since: start.Add(-time.Hour), Reason: "before"}
			if tc.hold != 0 {
				s.Hold = start.Add(tc.hold)
			}
			got := Fast().Next(s, tc.facts, start)
			if got.Mode != tc.want || !strings.Contains(got.Reason, tc.why) || got.Reason == "" {
				t.Errorf("%s: %s, want %s: %q", tc.from, got.Mode, tc.want, got.Reason)
			}
			if same := got.Mode == tc.from; same != got.Since.Equal(s.Since) {
				t.Errorf("since %s", got.Since)
			}
		})
	}
}

func TestFlaps(t *testing.T) {
	var s State
	now := start
	step := func(after time.Duration, answers time.Duration) {
		now = now.Add(after)
		f := bad(0)
		f.Answered = now.Add(-time.Minute)
		if answers > 0 {
			f.Answered, f.Good = now, now.Add(-answers)
		}
		s = Fast().Next(s, f, now)
	}
	step(0, time.Hour)
	for range 2 { // twice is bad luck
		step(time.Minute, 0)
		step(time.Minute, time.Minute)
	}
	if s.Mode != Normal {
		t.Fatalf("%+v", s)
	}
	step(time.Minute, 0) // the third time within ten minutes
	step(9*time.Minute, 9*time.Minute)
	if s.Mode != HostCache || !strings.Contains(s.Reason, "was lost 3 times") {
		t.Fatalf("%+v", s)
	}
	step(time.Minute, 10*time.Minute)
	if s.Mode != Normal {
		t.Fatalf("%+v", s)
	}
	if step(time.Minute, 0); !s.Hold.Before(now) {
		t.Errorf("the first outage after a quiet time is held down: %+v", s)
	}
}

// TestFlapsAreCounted: once for each time that the database was lost, and not for drills.
func TestFlapsAreCounted(t *testing.T) {
	s := State{Mode: Normal}
	acts := bad(time.Second)
	acts.Unmerged = 1
	for i, f := range []Facts{acts, bad(3 * time.Second)} { // a call was served from the files before it was lost
		if s = Fast().Next(s, f, start); len(s.Outages) != i {
			t.Errorf("%s: counted %d times", s.Mode, len(s.Outages))
		}
	}
	drill := good(time.Hour)
	drill.Force = &Force{On: true, By: "anna"}
	s = State{Mode: Normal}
	for range 3 {
		s = Fast().Next(s, drill, start)
		s = Fast().Next(s, good(time.Hour), start)
	}
	if s.Mode != Normal || len(s.Outages) > 0 {
		t.Errorf("drills count: %+v", s)
	}
}

func TestElected(t *testing.T) {
	f := bad(time.Minute)
	for winner, refuses := range map[string]bool{"": false, "b": false, "a": true} {
		f.Winner = winner
		if s := Fast().Next(State{Mode: Normal}, f, start); s.Mode != HostCache || s.Serves() == refuses {
			t.Errorf("winner %q: %+v", winner, s)
		}
	}
	f.Winner = "a"
	if s := Fast().Next(State{Mode: Normal}, good(0), start); !s.Serves() {
		t.Errorf("an election counts in outages only: %+v", s)
	}
}

func TestCitrixTimes(t *testing.T) {
	p, ok := Named("citrix")
	if !ok || p.Next(State{Mode: Normal}, bad(39*time.Second), start).Mode != Normal || p.Next(State{Mode: Normal}, bad(40*time.Second), start).Mode != HostCache {
		t.Errorf("%+v", p)
	}
	if _, ok := Named("slow"); ok {
		t.Error("there is a profile \"slow\"")
	}
}

// TestProperty walks at random and looks at what must hold in every state.
func TestProperty(t *testing.T) {
	source := rapid.Custom(func(t *rapid.T) Source {
		if rapid.Bool().Draw(t, "usable") {
			return yes()
		}
		return no("it is not there")
	})
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom([]Profile{Fast(), Citrix()}).Draw(t, "profile")
		var s State
		now, answered, good := start, start, start
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 20 * time.Second, time.Minute}).Draw(t, "passes"))
			if rapid.Bool().Draw(t, "answers") {
				answered = now
				if good.IsZero() {
					good = now
				}
			} else {
				good = time.Time{}
			}
			f := Facts{Answered: answered, Good: good, Why: "why", Cache: source.Draw(t, "cache"), Leases: source.Draw(t, "leases"), Self: "b",
				Peer: rapid.SampledFrom([]string{"", "c"}).Draw(t, "peer"), Winner: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "winner"),
				Unmerged: rapid.IntRange(0, 2).Draw(t, "unmerged")}
			if rapid.IntRange(0, 5).Draw(t, "force") == 0 {
				f.Force = &Force{On: rapid.Bool().Draw(t, "on"), By: "anna"}
			}
			next := p.Next(s, f, now)
			check(t, p, s, next, f, now)
			if again := p.Next(next, f, now); again.Mode != next.Mode && again.Mode != Normal && again.Mode != Recovering && again.Mode != Draining {
				t.Fatalf("the same facts lead from %+v on to %+v", next, again)
			}
			s = next
		}
	})
}

func check(t *rapid.T, p Profile, was, is State, f Facts, now time.Time) {
	switch {
	case is.Reason == "":
		t.Fatalf("no reason: %+v", is)
	case is.Mode == HostCache && !f.Cache.Usable, is.Mode == Leased && (!f.Leases.Usable || f.Cache.Usable):
		t.Fatalf("it serves from what is not usable: %+v", is)
	case f.Force != nil:
		return
	case (is.Mode == HostCache || is.Mode == Leased) && f.Good.IsZero() && f.Peer != "" && was.Mode != Recovering:
		t.Fatalf("it serves from its files though %s has the database: %+v", f.Peer, is)
	case was.Mode == Normal && is.Mode.Local() && is.Mode != Recovering && now.Sub(f.Answered) < p.Lost:
		t.Fatalf("too early: %+v", is)
	case is.Mode == Normal && f.Good.IsZero() && now.Sub(f.Answered) >= p.Lost:
		t.Fatalf("normal without a database: %+v", is)
	case is.Mode == Normal && f.Unmerged > 0 && !f.Good.IsZero():
		t.Fatalf("normal with acts that are not merged: %+v", is)
	case slices.Contains([]Mode{HostCache, Leased}, was.Mode) && (is.Mode == Normal || is.Mode == Recovering) && now.Sub(f.Good) < p.Stable:
		t.Fatalf("back too early: %+v", is)
	}
}
