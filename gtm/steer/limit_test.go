package steer

import (
	"strings"
	"testing"
	"time"
)

// TestDemotionLimit: a second pool that turns ill within a minute keeps what it served last, until
// the slot is free again; the view is due then.
func TestDemotionLimit(t *testing.T) {
	p := newPlay(t, cb(pools(2, 2, 1)))
	p.set(down, "uk2").direct()
	p.want("us:in 1,2; uk:in 1; de:in 1")
	p.at(time.Second)
	p.set(down, "us").direct() // the first one goes at once
	p.want("us:down; uk:in 1; de:in 1")
	p.at(20 * time.Second)
	p.set(down, "uk").direct()
	p.want("us:down; uk:demotion limit 1; de:in 1")
	if why := p.view.Name(0).Pools[1].Why; !strings.HasPrefix(why, "kept: demotion limit") {
		t.Errorf("why %q", why)
	}
	if p.at(61*time.Second - 1); p.view.Due() != p.start.Add(61*time.Second) {
		t.Errorf("due at %s, the slot is free at 61 s", p.view.Due().Sub(p.start))
	}
	p.want("us:down; uk:demotion limit 1; de:in 1")
	p.at(61 * time.Second)
	p.want("us:down; uk:down; de:in 1")
	p.at(62 * time.Second)
	p.set(up, "uk").direct()
	p.want("us:down; uk:in 1,2; de:in 1") // and its slot is free
	p.set(down, "de").direct()
	p.want("us:down; uk:in 1,2; de:down")
}

// TestDemotionLimitRows are the other rows of the table.
func TestDemotionLimitRows(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1, 1)))
	p.direct()
	p.set(down, "us").direct()
	p.set(down, "uk", "de").direct() // all are really down: at once
	p.want("us:down; uk:down 1; de:down 1; policy:last-good")

	q := newPlay(t, cb(pools(1, 1, 1)))
	q.set(down, "us", "uk").direct() // nobody saw them in
	q.want("us:down; uk:down; de:in 1")

	r := newPlay(t, cb(pools(1, 1, 1)))
	r.direct()
	r.set(down, "us").direct()
	r.set(maintenance, "uk").direct() // people's word is never limited
	r.want("us:down; uk:down; de:in 1")
	r.set(up, "uk").direct()
	r.set(down, "uk").direct()
	r.want("us:down; uk:demotion limit 1; de:in 1")
	r.force("*/uk", "down").direct()
	r.want("us:down; uk:forced out; de:in 1")

	s := newPlay(t, cb(pools(4, 2, 1), thresh))
	s.direct()
	s.set(down, "uk").direct()
	s.set(down, "us1", "us2", "us3").direct() // kept, with what its health allows
	s.want("us:demotion limit 4; uk:down; de:in 1")
	s.set(up, "us1").direct()
	s.want("us:in 1,4; uk:down; de:in 1")

	two := newPlay(t, cb(pools(1, 1, 1), func(n *Name) { n.MaxDemotions = 2 }))
	two.direct()
	two.set(down, "us", "uk").direct()
	two.want("us:down; uk:down; de:in 1")

	u := newPlay(t, cb(pools(1, 1, 1), manual)) // the longest ill goes first; a kept pool does not start a hold
	u.direct()
	u.set(down, "de").direct()
	u.at(10 * time.Second)
	u.set(down, "uk").direct()
	u.at(20 * time.Second)
	u.want("us:in 1; uk:demotion limit 1; de:down")
	u.set(up, "uk").direct()
	u.want("us:in 1; uk:in 1; de:down")
	u.at(50 * time.Second)
	u.set(down, "uk").direct()
	u.at(60 * time.Second)
	u.want("us:in 1; uk:down; de:down")
	u.set(up, "uk").direct()
	u.want("us:in 1; uk:manual resume; de:down")
}

// TestKeptPoolIsNoReasonToHold: while the limit keeps a dead pool, a last resort that is alive joins it.
func TestKeptPoolIsNoReasonToHold(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1, 1), manual))
	p.direct()
	p.set(down, "us").direct()
	p.set(up, "us").direct()
	p.at(2 * time.Minute)
	p.set(down, "uk").direct()
	p.set(down, "de").direct()
	p.want("us:manual resume! 1; uk:down; de:demotion limit 1")
}
