package steer

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
)

func steadyFor(d time.Duration) healthcheck.Status {
	return healthcheck.Status{State: up, Steady: d, Load: healthcheck.Load{Active: -1, Capacity: -1}}
}

func (p *play) ttl(want uint32, why string) {
	p.t.Helper()
	s := p.view.Name(0)
	if s.TTL != want || !strings.Contains(s.TTLWhy, why) {
		p.t.Errorf("at %s: TTL %d, %q; want %d, %q", p.now.Sub(p.start), s.TTL, s.TTLWhy, want, why)
	}
}

// TestTTLRange: the earliest possible change of health, within ttl_min and ttl.
func TestTTLRange(t *testing.T) {
	f := func(want uint32, why string, us, uk time.Duration, change ...func(*play)) {
		t.Helper()
		p := newPlay(t, cb(pools(2, 1)))
		p.give(steadyFor(us), "us2").give(steadyFor(uk), "uk")
		for _, c := range change {
			c(p)
		}
		p.direct()
		p.ttl(want, why)
	}
	f(30, "ttl, as nothing can change sooner", time.Hour, time.Hour)
	f(30, "ttl, as nothing can change sooner", 30*time.Second, time.Hour)
	f(29, "the next results may turn cb.c/us/10.0.0.2:443, which is up (in 29 s or more; ttl_min is 5 s, ttl 30 s)", 30*time.Second-1, time.Hour)
	f(12, "cb.c/uk/10.1.0.1:443", 20*time.Second, 12*time.Second)
	f(5, "ttl_min, because the next results may turn cb.c/uk", 20*time.Second, 5*time.Second)
	f(5, "ttl_min, because the next results may turn cb.c/us", 0, 5*time.Second)
	f(20, "cb.c/us", 20*time.Second, 0, func(p *play) { // what is taken out does not count
		p.force("*/uk/*", "down", func(o *Override) { o.Pattern = "*/uk" })
	})

	m := newPlay(t, cb(pools(1, 1), byMode))
	m.give(steadyFor(0), "uk").direct()
	m.ttl(30, "ttl, as")
	n := newPlay(t, cb(pools(1), func(n *Name) { n.TTL = 3 * time.Second }))
	n.give(steadyFor(0), "us").direct()
	n.ttl(3, "")
}

// TestTTLShort are the rows above it: after a failover, in maintenance, under overload, all down.
func TestTTLShort(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1)))
	p.direct()
	p.ttl(30, "ttl, as")
	p.set(down, "us").direct()
	p.ttl(5, "ttl_min, because a datacenter went in or out at 2026-03-01 12:00:00 UTC, less than 60 s ago")
	p.at(time.Minute - 1)
	p.ttl(5, "went in or out")
	p.at(time.Minute) // due
	p.ttl(30, "ttl, as")
	p.set(down, "uk").direct()
	p.ttl(5, "ttl_min, because all members are down")
	p.at(time.Hour)
	p.ttl(5, "all members are down")
	p.set(up, "us", "uk").direct()
	p.at(2 * time.Hour)
	p.ttl(30, "ttl, as")
	p.set(maintenance, "us").direct()
	p.at(3 * time.Hour)
	p.ttl(5, "cb.c/us/10.0.0.1:443 is in maintenance")
	p.set(overloaded, "us").direct()
	p.at(4 * time.Hour)
	p.ttl(5, "us is overloaded, 95 % of its clients go elsewhere")
	p.set(overloaded, "uk").direct()
	p.at(5 * time.Hour)
	p.ttl(5, "us is overloaded")
	p.set(up, "us", "uk").direct()
	p.at(6 * time.Hour)
	p.ttl(30, "ttl, as")
	p.force("*/us", "maintenance").direct()
	p.at(7 * time.Hour)
	p.ttl(5, "in maintenance")
}

// TestTTLBeforeAChange: no answer outlives a change whose time is known by more than ttl_min, at whatever
// moment of a view's life it is given.
func TestTTLBeforeAChange(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ttl := time.Duration(rapid.IntRange(5, 3600).Draw(rt, "ttl")) * time.Second
		p := newPlay(t, cb(pools(1, 1), func(n *Name) { n.TTL = ttl }))
		change := p.now.Add(time.Duration(rapid.IntRange(1, 7200_000).Draw(rt, "ms")) * time.Millisecond)
		p.force("*/us", "down", func(o *Override) { o.From = change })
		p.direct()
		for steps := 0; p.now.Before(change); steps++ {
			due := p.view.Due()
			if due.IsZero() || due.After(change) || steps > 300 {
				rt.Fatalf("step %d: due at %s, the change is at %s", steps, due, change)
			}
			kept := time.Duration(p.view.Name(0).TTL) * time.Second
			if last := due.Add(-1).Add(kept); last.After(change) && kept > 5*time.Second {
				rt.Fatalf("an answer of %s, given until %s, outlives the change at %s", kept, due, change)
			}
			p.now = due
			p.direct()
		}
		p.want("us:forced out; uk:in 1")
	})
}
