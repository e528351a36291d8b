package steer

import (
	"strings"
	"testing"
	"time"

	"switchpoint/healthcheck"
)

// TestRestrain is the table of restrain, and more rows.
func TestRestrain(t *testing.T) {
	type said [2]string
	f := func(n Name, want string, ignored int, words ...said) {
		t.Helper()
		p := newPlay(t, n)
		for _, w := range words {
			p.force(w[0], w[1])
		}
		p.direct()
		p.want(want)
		if got := p.view.Name(0).Ignored; len(got) != ignored {
			t.Errorf("%v: %d ignored: %q", words, len(got), got)
		}
	}
	f(cb(pools(1, 1)), "us:forced out; uk:in 1", 0, said{"*/us", "down"})
	f(cb(pools(1, 1)), "us:forced out; uk:in 1", 1, said{"*/us", "down"}, said{"*/uk", "down"})
	f(cb(pools(1, 1)), "us:in 1; uk:forced out", 1, said{"*/uk", "down"}, said{"*/us", "draining"})
	f(cb(pools(1, 2)), "us:forced out; uk:in 2", 1,
		said{"*/us", "down"}, said{"*/uk/10.1.0.1:*", "down"}, said{"*/uk/10.1.0.2:*", "maintenance"})
	f(cb(pools(1, 1)), "us:forced up 1; uk:forced out", 0, said{"*/us", "down"}, said{"*/uk", "down"}, said{"*/us", "up"})
	f(cb(pools(1, 1)), "us:in 1; uk:in 1", 1, said{"*", "down"})
	f(cb(pools(1)), "us:in 1", 1, said{"cb.c/us", "maintenance"})
	two := func(n *Name) { n.MinDatacenters = 2 }
	f(cb(pools(1, 1, 1), two), "us:forced out; uk:in 1; de:in 1", 1, said{"*/us", "down"}, said{"*/uk", "down"})
	f(cb(pools(1, 1), two), "us:in 1; uk:in 1", 1, said{"*/us", "down"})
	f(cb(pools(1), two), "us:in 1", 0) // it cannot have more than there are
	f(cb(pools(1, 1), byMode), "us:in 1; uk:mode", 1, said{"*/us", "down"})

	p := newPlay(t, cb(pools(1, 1)))
	p.give(healthcheck.Status{State: maintenance, Source: healthcheck.FromMaintenance}, "uk").force("*/us", "down").direct()
	p.want("us:in 1; uk:down")
	if e := p.view.Events(); len(e) == 0 || e[len(e)-1].What != "override is not applied" || !strings.Contains(e[len(e)-1].Why, `forced down by ann: test of "*/us" is not applied`) {
		t.Errorf("events %+v", e)
	}
	if e := p.direct().Events(); len(e) != 0 {
		t.Errorf("told twice: %+v", e)
	}
	p.set(down, "uk").direct() // a failure undoes nothing that operators have said
	p.want("us:forced out; uk:down 1; policy:last-good")
}

// TestCheck is the table of Check.
func TestCheck(t *testing.T) {
	f := func(p *play, change func(), force bool, want ...string) {
		t.Helper()
		p.direct()
		change()
		err := Check(p.table, p.view, &p.said, p.now, force)
		if len(want) == 0 {
			if err != nil {
				t.Errorf("refused: %v", err)
			}
			return
		}
		if err == nil {
			t.Errorf("accepted, want a refusal with %q", want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("refused with %q, want %q", err, w)
			}
		}
	}
	p := newPlay(t, cb(pools(1, 1)))
	f(p, func() { p.force("*/us", "down") }, false)
	f(p, func() { p.force("*/uk", "down") }, true, "cb.c: operators would leave 0 of its 2 datacenters in, min_datacenters wants 1; release another one first")
	f(p, func() {}, false) // it stands already: Direct does not apply it
	f(p, func() { p.release("*/us") }, false)

	p = newPlay(t, cb(pools(1)))
	f(p, func() { p.force("*/us", "down") }, true, "none of them can be spared: leave this name out")
	alone := cb(pools(1))
	alone.Name = "alone.c"
	p = newPlay(t, cb(pools(1, 1)), alone)
	f(p, func() { p.force("*/us", "down") }, false) // cb.c can spare it; alone.c stays as it is
	if got := p.direct().Name(1); len(got.Ignored) != 1 || !got.Pools[0].In {
		t.Errorf("a name with one datacenter: %+v", got)
	}
	p = newPlay(t, cb(pools(1, 1)), alone)
	f(p, func() { p.force("alone.c/us", "down") }, true, "alone.c: operators would leave 0 of its 1 datacenters in")
	p = newPlay(t, cb(pools(1, 1))).set(down, "us")
	f(p, func() { p.force("*/uk", "down") }, false, "only 0 of the datacenters that are left in would serve now (us: none can serve", "force it")
	f(p, func() {}, true)
	p = newPlay(t, cb(pools(1, 1))).set(down, "us", "uk")
	f(p, func() { p.force("*/uk", "down") }, false) // nothing to lose

	p = newPlay(t, cb(pools(1, 1)))
	p.force("*/us", "down")
	later := p.now.Add(time.Hour)
	f(p, func() { p.force("*/uk", "down", func(v *Override) { v.From = later }) }, false,
		"from 2026-03-01 13:00:00 UTC on operators would leave 0")
	p = newPlay(t, cb(pools(1, 1)))
	p.force("*/us", "down", func(v *Override) { v.Until = later })
	f(p, func() { p.force("*/uk", "down", func(v *Override) { v.From = later }) }, false)

	p = newPlay(t, cb(pools(1, 1)))
	p.force("*/us", "down").force("cb.c/us", "up", func(v *Override) { v.Until = later })
	f(p, func() { p.force("*/uk", "down") }, false, "from 2026-03-01 13:00:00 UTC on operators would leave 0") // what keeps us in ends

	p = newPlay(t, cb(pools(1, 1), byMode))
	f(p, func() { p.mode(ModeDR) }, false)
	p = newPlay(t, cb(pools(1, 1), byMode)).set(down, "uk")
	f(p, func() { p.mode(ModeDR) }, false, "cb.c: no datacenter of mode dr serves now (uk: none can serve", "force it")
	f(p, func() {}, true)
	p = newPlay(t, cb(pools(1, 1), byMode))
	f(p, func() { p.mode(ModeDR).force("*/uk", "maintenance") }, true, "operators would leave 0")

	many := make([]Name, 30)
	for i := range many {
		many[i] = cb(pools(1))
		many[i].Name = strings.Repeat("a", i+1) + ".c"
	}
	p = newPlay(t, many...)
	f(p, func() { p.force("*", "down") }, false, "20 more names")
	if err := Check(nil, nil, &Operator{}, p.now, false); err != nil {
		t.Errorf("no table: %v", err)
	}
	if err := Check(p.table, nil, &Operator{}, p.now, false); err != nil {
		t.Errorf("no view: %v", err)
	}
}
