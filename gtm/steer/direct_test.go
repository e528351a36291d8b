package steer

import (
	"strings"
	"testing"
	"time"

	"switchpoint/healthcheck"
)

const (
	up          = healthcheck.Up
	down        = healthcheck.Down
	overloaded  = healthcheck.Overloaded
	maintenance = healthcheck.Maintenance
	draining    = healthcheck.Draining
	noIdea      = healthcheck.Unknown
)

func noLimit(n *Name)  { n.MaxDemotions = 9 }
func manual(n *Name)   { n.ManualResume = true }
func byMode(n *Name)   { n.Between = BetweenMode; n.Pools[0].Mode, n.Pools[1].Mode = ModePrimary, ModeDR }
func thresh(n *Name)   { n.UpThresh = 0.5 }
func failback(n *Name) { n.FailbackDelay = 10 * time.Minute }

// TestHealthOfPool is the table of measure.
func TestHealthOfPool(t *testing.T) {
	st := map[byte]healthcheck.Status{
		'u': {State: up}, 'o': {State: overloaded}, 'd': {State: down}, '?': {State: noIdea}, 'm': {State: maintenance},
		'r': {State: draining}, 'f': {State: down, Source: healthcheck.FromOverride}, 'e': {State: down, Source: healthcheck.FromTraffic},
	}
	f := func(states string, thresh float64, want health, serving int) {
		t.Helper()
		var all []healthcheck.Status
		for i := range states {
			all = append(all, st[states[i]])
		}
		if got := measure(make([]int, len(all)), thresh, all); got.health != want || len(got.serving) != serving {
			t.Errorf("%q with up_thresh %v: health %d, %d serve; want %d, %d", states, thresh, got.health, len(got.serving), want, serving)
		}
	}
	f("uu", 0, well, 2)
	f("dddu", 0, well, 1)
	f("dddu", 0.25, well, 1)
	f("dddu", 0.26, ill, 1)
	f("dduu", 0.5, well, 2)
	f("ddduu", 0.5, ill, 2) // ceil(2.5) = 3
	f("oo", 1, well, 2)     // overload never takes a pool out
	f("ou", 1, well, 1)     // counts, though it does not serve
	f("dd", 0, ill, 0)
	f("mm", 0, planned, 0)
	f("mr", 0, planned, 0)
	f("ff", 0, planned, 0)  // an operator's word on the checks
	f("md", 0, ill, 0)      // health had its part
	f("mmu", 1, planned, 1) // below the threshold by people alone
	f("mdu", 1, ill, 1)
	f("??", 0, unclear, 2)
	f("?d", 0.9, unclear, 1)
	f("u?", 1, well, 1) // what is not known is not held against it
	f("ee", 0, ill, 2)
	f("eu", 0, well, 1)
}

// TestVerdicts is the truth table of verdict, a row each, in its order.
func TestVerdicts(t *testing.T) {
	p := newPlay(t, cb(pools(2, 1), noLimit))
	p.direct()
	p.want("us:in 1,2; uk:in 1")

	p.set(down, "us").force("cb.c/us", "up").direct() // forced up, whatever its health
	p.want("us:forced up 1,2; uk:in 1")
	p.force("cb.c/us/10.0.0.1:443", "down").direct() // but for a member of which more was said
	p.want("us:forced up 2; uk:in 1")
	p.force("*/us/*", "maintenance").direct()
	p.want("us:down; uk:in 1")
	p.set(up, "us").release("*/us/*").release("cb.c/us/10.0.0.1:443").release("cb.c/us").direct()
	p.want("us:in 1,2; uk:in 1")

	for _, word := range []string{"down", "draining", "maintenance"} {
		p.force("*/us", word).direct()
		p.want("us:forced out; uk:in 1")
		if why := p.view.Name(0).Pools[0].Why; why != "forced "+word+" by ann: test" {
			t.Errorf("why %q", why)
		}
		p.set(down, "uk").direct() // never a last resort
		p.want("us:forced out; uk:down 1; policy:last-good")
		p.set(up, "uk").release("*/us").direct()
		p.want("us:in 1,2; uk:in 1")
	}
	p.set(down, "us").direct()
	p.want("us:down; uk:in 1")
	p.set(up, "us").direct() // neither a delay nor a hold is configured
	p.want("us:in 1,2; uk:in 1")
	p.set(noIdea, "us").direct()
	p.want("us:unknown; uk:in 1")
	p.give(healthcheck.Status{State: down, Source: healthcheck.FromTraffic}, "us").direct()
	p.want("us:traffic; uk:in 1")
}

// TestMemberOverride: a member gets the operator's state, with who said it, why and what was measured.
func TestMemberOverride(t *testing.T) {
	p := newPlay(t, cb(pools(2, 1)))
	p.force("cb.c/us/10.0.0.2:*", "draining", func(v *Override) { v.Until = p.now.Add(time.Hour) }).direct()
	p.want("us:in 1; uk:in 1")
	got := p.view.Name(0).Pools[0].Members[1]
	if got.State != draining || got.Reason != "forced draining by ann: test (until 2026-03-01 13:00:00 UTC); measured: up" || got.Serving {
		t.Errorf("%+v", got)
	}
	p.at(time.Hour)
	p.want("us:in 1,2; uk:in 1")
}

// TestOverrideFromUntil: the view is due when an override begins and when it ends.
func TestOverrideFromUntil(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1)))
	p.force("*/us", "maintenance", func(v *Override) {
		v.From, v.Until = p.now.Add(time.Hour), p.now.Add(2*time.Hour)
	}).direct()
	f := func(at time.Duration, want string) {
		t.Helper()
		p.at(at)
		p.want(want)
	}
	f(time.Hour-time.Second, "us:in 1; uk:in 1")
	f(time.Hour, "us:forced out; uk:in 1")
	f(2*time.Hour-time.Second, "us:forced out; uk:in 1")
	f(2*time.Hour, "us:in 1; uk:in 1")
	p.now = p.start.Add(3 * time.Hour)
	if p.direct(); !p.view.Due().IsZero() {
		t.Errorf("still due at %s", p.view.Due())
	}
}

// TestModeSwitch: only pools of the mode in force take part, whatever their health; only an
// explicit switch changes that.
func TestModeSwitch(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1), byMode, noLimit))
	p.direct()
	p.want("us:in 1; uk:mode")
	p.set(down, "us").direct()
	p.want("us:down 1; uk:mode; policy:last-good")
	p.set(up, "us").direct()
	p.want("us:in 1; uk:mode")
	p.mode(ModeDR).direct()
	p.want("us:mode; uk:in 1")
	if e := p.view.Events(); len(e) == 0 || e[0].What != "mode of operation is dr, was primary" {
		t.Errorf("events %+v", e)
	}
	if s := p.view.Name(0); s.Mode != ModeDR {
		t.Errorf("mode %q", s.Mode)
	}
	p.force("*/us", "up").direct() // an operator may say more
	p.want("us:forced up 1; uk:in 1")

	one := newPlay(t, cb(pools(1, 1), byMode, func(n *Name) { n.Pools[1].Mode = ModePrimary })).mode(ModeDR)
	one.direct() // nothing to switch to
	one.want("us:in 1; uk:in 1")
}

// TestThreshold: with too few members up the pool is out although some serve.
func TestThreshold(t *testing.T) {
	p := newPlay(t, cb(pools(3, 1), thresh))
	p.set(down, "us1").direct()
	p.want("us:in 2,3; uk:in 1")
	p.set(overloaded, "us2").direct()
	p.want("us:in 3; uk:in 1")
	p.set(down, "us2").direct()
	p.want("us:threshold; uk:in 1")
	if why := p.view.Name(0).Pools[0].Why; why != "1 of 3 members are up, up_thresh wants 2" {
		t.Errorf("why %q", why)
	}
	p.set(maintenance, "uk").direct() // serves as a last resort
	p.want("us:threshold! 3; uk:down")
}

// TestFailbackDelay: a pool that went out for its health takes part again after the delay, which begins anew
// when it is ill in between; the view is due then.
func TestFailbackDelay(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1), failback))
	p.direct() // not at the first view
	p.want("us:in 1; uk:in 1")
	f := func(minutes int, state healthcheck.State, want string) {
		t.Helper()
		p.at(time.Duration(minutes) * time.Minute)
		p.set(state, "us").direct()
		p.want(want)
	}
	f(1, down, "us:down; uk:in 1")
	f(2, up, "us:failback delay; uk:in 1")
	f(11, down, "us:down; uk:in 1")
	f(12, up, "us:failback delay; uk:in 1")
	if p.at(22*time.Minute - time.Second); p.view.Due() != p.start.Add(22*time.Minute) {
		t.Errorf("due at %s", p.view.Due().Sub(p.start))
	}
	p.want("us:failback delay; uk:in 1")
	p.at(22 * time.Minute)
	p.want("us:in 1; uk:in 1")

	p.force("*/us", "maintenance").direct() // people's words wait for nothing
	p.release("*/us").direct()
	p.want("us:in 1; uk:in 1")
	p.set(maintenance, "us").direct()
	p.set(up, "us").direct()
	p.want("us:in 1; uk:in 1")
}

// TestManualResume: a pool that went out for its health stays out until it is released by a
// document that is newer than the one under which it went.
func TestManualResume(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1), manual))
	p.said.Version = 7
	p.direct()
	p.said.Releases = []Release{{Pattern: "*", Version: 7}} // said before
	p.set(down, "us").direct()
	p.want("us:down; uk:in 1")
	if why := p.view.Name(0).Pools[0].Why; !strings.Contains(why, "until an operator releases it") {
		t.Errorf("why %q", why)
	}
	p.set(up, "us").direct()
	p.want("us:manual resume; uk:in 1")
	if !p.view.Name(0).Pools[0].Held {
		t.Error("not held")
	}
	p.at(1000 * time.Hour)
	p.want("us:manual resume; uk:in 1")
	p.release("cb.c/uk").direct()
	p.want("us:manual resume; uk:in 1")
	p.release("cb.c/us").direct()
	p.want("us:in 1; uk:in 1")

	p.set(down, "us").direct() // again; released while it is still down
	p.release("*/us").direct()
	p.set(up, "us").direct()
	p.want("us:in 1; uk:in 1")

	q := newPlay(t, cb(pools(1, 1), manual)) // down from the start: nobody knows that it was ever in
	q.set(down, "us").direct()
	q.set(up, "us").direct()
	q.want("us:in 1; uk:in 1")
	q.force("*/us", "maintenance").direct() // worked on, and down meanwhile
	q.set(down, "us").direct()
	q.release("*/us").direct()
	q.set(up, "us").direct()
	q.want("us:in 1; uk:in 1")
}

// TestLastResorts: when no pool is in, the first kind that can serve comes in, and says so.
func TestLastResorts(t *testing.T) {
	both := func(n *Name) { noLimit(n); n.UpThresh = 0.5; n.FailbackDelay = time.Hour }
	p := newPlay(t, cb(pools(3, 3, 3), both))
	p.direct()
	p.set(down, "us", "uk").direct()
	p.set(up, "us", "uk").direct()
	p.want("us:failback delay; uk:failback delay; de:in 1,2,3")
	p.set(down, "de1", "de2").direct() // below the threshold comes before the failback delay
	p.want("us:failback delay; uk:failback delay; de:threshold! 3")
	p.set(down, "de3").direct()
	p.want("us:failback delay! 1,2,3; uk:failback delay! 1,2,3; de:down")
	if why := p.view.Name(0).Pools[0].Why; !strings.HasPrefix(why, "last resort: no other datacenter serves; it is well since") {
		t.Errorf("why %q", why)
	}

	q := newPlay(t, cb(pools(1, 1, 1), noLimit, manual))
	q.direct()
	q.set(down, "us").direct()
	q.set(up, "us").direct()
	q.want("us:manual resume; uk:in 1; de:in 1")
	q.set(noIdea, "uk").give(healthcheck.Status{State: down, Source: healthcheck.FromTraffic}, "de").direct()
	q.want("us:manual resume! 1; uk:unknown; de:traffic")
	q.set(down, "us").direct()
	q.want("us:down; uk:unknown! 1; de:traffic")
	q.set(down, "uk").direct()
	q.want("us:down; uk:down; de:traffic! 1")
	q.set(down, "de").direct()
	q.want("us:down 1; uk:down; de:down; policy:last-good")
}
