package steer

import (
	"testing"
	"time"
)

// TestAllDownPolicies are the policies, each at once and over when something serves again.
func TestAllDownPolicies(t *testing.T) {
	for policy, want := range map[string]string{
		AllDownLastGood: "us:down; uk:down 2; policy:last-good",
		AllDownAll:      "us:down 1,2; uk:down 1,2; policy:all",
		AllDownFallback: "us:down; uk:down; policy:fallback",
		AllDownNoData:   "us:down; uk:down; policy:nodata",
		AllDownServFail: "us:down; uk:down; policy:servfail",
	} {
		p := newPlay(t, cb(pools(2, 2), func(n *Name) { n.AllDown = policy }))
		p.direct()
		p.set(down, "us").direct()
		p.at(time.Minute)
		p.set(down, "uk1").direct()
		p.set(down, "uk").direct()
		p.want(want)
		if e := p.view.Events(); len(e) != 2 || e[1].What != "all down" || !e[1].Bad || e[1].Name != "cb.c" {
			t.Errorf("%s: events %+v", policy, e)
		}
		if e := p.direct().Events(); len(e) != 0 {
			t.Errorf("%s: told twice: %+v", policy, e)
		}
		p.set(up, "us1").direct()
		p.want("us:in 1; uk:down")
		if e := p.view.Events(); len(e) != 2 || e[1].What != "name is served again" {
			t.Errorf("%s: events %+v", policy, e)
		}
	}
}

// TestLastGood: what people have taken out is no good, and without a past it is all.
func TestLastGood(t *testing.T) {
	p := newPlay(t, cb(pools(2, 1)))
	p.set(down, "us", "uk").direct()
	p.want("us:down 1,2; uk:down 1; policy:last-good")

	p.set(up, "us").direct()
	p.set(down, "us").direct()
	p.want("us:down 1,2; uk:down; policy:last-good")
	p.set(maintenance, "us1").direct()
	p.want("us:down 2; uk:down; policy:last-good")
	p.set(maintenance, "us2").direct()
	p.want("us:down; uk:down 1; policy:last-good")
	p.set(maintenance, "uk").direct()
	p.want("us:down 1,2; uk:down 1; policy:last-good")
	p.force("*/us", "down").direct()
	p.want("us:forced out; uk:down 1; policy:last-good")
}
