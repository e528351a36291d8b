package steer

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
)

// TestNoSequenceBreaksASafetyRule plays random flips, overrides, mode switches, reloads, restarts and
// steps of the clock, and checks every view:
//
//	(a) while a member is up in any datacenter that neither operators nor the mode have taken out,
//	    somebody is answered, and by no all-down policy
//	(b) operators' words never leave fewer than min_datacenters in
//	(c) at most max_demotions datacenters go out within a minute because of their health; those
//	    that are back, and those that went when everything was down, do not count
//	(d) nobody is answered who is known to be down while somebody is up; but for a pool that the
//	    demotion limit keeps
//	(e) a view made from the memory on disk decides as the one that goes on
//	(f) a member in mode normal comes before the others of its pool that are up, and no mode of members
//	    takes a pool out
func TestNoSequenceBreaksASafetyRule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newChaos(t, rt)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			g.step()
			g.check()
		}
	})
}

type chaos struct {
	*play
	rt    *rapid.T
	n     Name
	gone  map[string]time.Time // pools that went out because of their health, by datacenter
	prior []poolView
	past  []poolPast // of prior
}

var members = []string{"us1", "us2", "us3", "uk1", "uk2", "de1"}

func newChaos(t *testing.T, rt *rapid.T) *chaos {
	g := &chaos{rt: rt, gone: map[string]time.Time{}}
	g.n = cb(pools(3, 2, 1))
	g.n.AllDown = rapid.SampledFrom([]string{AllDownLastGood, AllDownAll, AllDownNoData}).Draw(rt, "policy")
	g.n.UpThresh = rapid.SampledFrom([]float64{0, 0.5}).Draw(rt, "up_thresh")
	g.n.FailbackDelay = time.Duration(rapid.SampledFrom([]int{0, 0, 90}).Draw(rt, "failback")) * time.Second
	g.n.ManualResume = rapid.Bool().Draw(rt, "manual")
	g.n.PreferNormal = rapid.Bool().Draw(rt, "prefer_normal")
	g.n.MaxDemotions = rapid.IntRange(1, 2).Draw(rt, "max_demotions")
	g.n.MinDatacenters = rapid.IntRange(1, 2).Draw(rt, "min_datacenters")
	if rapid.Bool().Draw(rt, "by mode") {
		g.n.Between = BetweenMode
		g.n.Pools[1].Mode = ModeDR
	}
	g.play = newPlay(t, g.n)
	g.direct()
	return g
}

func (g *chaos) step() {
	rt := g.rt
	g.prior, g.past = slices.Clone(g.view.names[0].pools), slices.Clone(g.view.names[0].past.pools)
	g.now = g.now.Add(time.Duration(rapid.IntRange(0, 45).Draw(rt, "seconds")) * time.Second)
	for range rapid.IntRange(0, 3).Draw(rt, "flips") {
		st := healthcheck.Status{Load: healthcheck.Load{Active: -1, Capacity: -1}, Steady: healthcheck.MaxSteady}
		st.State = rapid.SampledFrom([]healthcheck.State{up, up, down, down, down, overloaded, noIdea, maintenance, draining}).Draw(rt, "state")
		if st.State == down && rapid.IntRange(0, 3).Draw(rt, "by traffic") == 0 {
			st.Source = healthcheck.FromTraffic
		}
		if st.State != down {
			st.Load.Mode = rapid.SampledFrom([]string{"", "normal", "hostcache", "recovering", "draining"}).Draw(rt, "broker mode")
		}
		g.give(st, rapid.SampledFrom(members).Draw(rt, "member"))
	}
	patterns := []string{"*/us", "*/uk", "cb.c/de", "cb.c", "*/us/10.0.0.1:443", "*/us/10.0.0.2:*", "*/uk/*", "*/*/*.1:443"}
	switch rapid.IntRange(0, 9).Draw(rt, "act") {
	case 0, 1:
		g.force(rapid.SampledFrom(patterns).Draw(rt, "pattern"), rapid.SampledFrom([]string{"up", "down", "draining", "maintenance"}).Draw(rt, "word"))
	case 2, 3:
		g.release(rapid.SampledFrom(patterns).Draw(rt, "pattern"))
	case 4:
		g.mode(rapid.SampledFrom([]string{ModePrimary, ModeDR}).Draw(rt, "mode"))
	case 5:
		g.load(g.n)
	}
	restored := g.restored()
	g.direct()
	if got, want := lineUp(restored, 0), lineUp(g.view, 0); got != want {
		rt.Fatalf("(e) after a restart: %s\nwithout:         %s", got, want)
	}
}

// restored is the view that a restart would make now.
func (g *chaos) restored() *View {
	b, err := json.Marshal(g.view.Memory())
	if err != nil {
		g.rt.Fatal(err)
	}
	var m Memory
	if err := json.Unmarshal(b, &m); err != nil {
		g.rt.Fatal(err)
	}
	before, err := Restore(m)
	if err != nil {
		g.rt.Fatal(err)
	}
	said := g.said
	return Direct(g.table, before, Circumstances{Status: g.status, Operator: &said, Now: g.now})
}

func (g *chaos) check() {
	n, v := g.table.names[0], &g.view.names[0]
	alive, left, touched := false, 0, false
	for i := range v.pools {
		p := &v.pools[i]
		if p.in != (len(p.serving) > 0) {
			g.rt.Fatalf("in and serving disagree: %s", lineUp(g.view, 0))
		}
		eligible := p.verdict != forcedOut && p.verdict != otherMode
		alive = alive || eligible && slices.ContainsFunc(p.status, func(s healthcheck.Status) bool { return s.State == up })
		free, word := false, p.verdict == forcedOut
		for j := range p.status {
			free = free || !isPlanned(&p.status[j])
			word = word || isPlanned(&p.status[j]) && p.status[j].Source == healthcheck.FromOverride
		}
		switch {
		case p.verdict != forcedOut && free && (n.inMode(&n.pools[i], g.said.mode()) || p.verdict == forcedUp):
			left++
		case word && n.inMode(&n.pools[i], g.said.mode()):
			touched = touched || slices.ContainsFunc(p.measured, func(s healthcheck.Status) bool { return !isPlanned(&s) })
		}
	}
	if need := n.quorum(g.said.mode()); left < need && touched {
		g.rt.Fatalf("(b) operators leave %d datacenters in, %d are needed: %s", left, need, lineUp(g.view, 0))
	}
	d := g.view.Decide(0, Client{Order: []int{0, 1, 2}, Draw: rapid.Uint64().Draw(g.rt, "draw")})
	if alive && (len(d.Addresses(false)) == 0 || v.policy != "") {
		g.rt.Fatalf("(a) a member is up and nobody is answered: %s", lineUp(g.view, 0))
	}
	for i := range v.pools {
		p := &v.pools[i]
		g.modes(p)
		if p.verdict == kept || !p.in {
			continue
		}
		for _, j := range p.serving {
			if alive && p.status[j].State == down {
				g.rt.Fatalf("(d) a member that is down is answered while others are up: %s", lineUp(g.view, 0))
			}
		}
	}
	g.count()
}

// modes checks (f).
func (g *chaos) modes(p *poolView) {
	isUp := func(s healthcheck.Status) bool { return s.State == up }
	if !p.in && p.verdict == nobody && slices.ContainsFunc(p.status, isUp) {
		g.rt.Fatalf("(f) a member is up, and its pool is out: %s", lineUp(g.view, 0))
	}
	if !p.in || p.verdict == kept || g.view.names[0].policy != "" || !isUp(p.status[p.serving[0]]) {
		return
	}
	normal := func(s healthcheck.Status) bool { return isUp(s) && s.Load.Normal() }
	for _, j := range p.serving {
		if slices.ContainsFunc(p.status, normal) && p.status[j].Load.Abnormal() {
			g.rt.Fatalf("(f) member %d is answered in mode %q while others are in mode normal: %s", j+1, p.status[j].Load.Mode, lineUp(g.view, 0))
		}
	}
}

// count checks (c), from what was seen of the views alone.
func (g *chaos) count() {
	v := &g.view.names[0]
	for i := range v.pools {
		was, is, dc := &g.prior[i], &v.pools[i], g.n.Pools[i].Datacenter
		served := was.serving
		if was.verdict == kept { // what it serves has failed already: it is kept for what it served last
			served = g.past[i].good
		}
		switch {
		case is.in || v.policy != "":
			delete(g.gone, dc)
		case !was.in || was.verdict != takesPart && was.verdict != kept:
		case is.verdict == forcedOut || is.verdict == otherMode || is.verdict == unknown:
		case !slices.ContainsFunc(served, func(j int) bool { return !isPlanned(&is.status[j]) }):
		case measure(make([]int, len(is.status)), g.n.UpThresh, is.status).health == ill:
			g.gone[dc] = g.now
		}
	}
	within := 0
	for _, at := range g.gone {
		if g.now.Before(at.Add(time.Minute)) {
			within++
		}
	}
	if within > g.n.MaxDemotions {
		g.rt.Fatalf("(c) %d datacenters went out within a minute, max_demotions is %d: %s", within, g.n.MaxDemotions, lineUp(g.view, 0))
	}
}
