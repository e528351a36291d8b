package steer

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
	requirement "switchpoint/internal/covers"
)

func prefer(n *Name) { n.PreferNormal = true }

// says gives members that are up a mode.
func (p *play) says(mode string, which ...string) *play {
	return p.give(healthcheck.Status{State: up, Steady: healthcheck.MaxSteady, Load: healthcheck.Load{Active: -1, Capacity: -1, Mode: mode}}, which...)
}

// TestModeInsideAPool: members in mode normal come first, at once, in whatever way pools are ordered; the
// others serve as soon as they are needed.
func TestModeInsideAPool(t *testing.T) {
	requirement.Req(t, "DC7")
	p := newPlay(t, cb(pools(3, 1)))
	f := func(want string) {
		t.Helper()
		p.direct()
		p.want(want)
		if len(p.view.Events()) != 0 {
			t.Errorf("events: %+v", p.view.Events())
		}
	}
	f("us:in 1,2,3; uk:in 1")
	p.says("hostcache", "us1")
	f("us:in 1,2,3; uk:in 1") // of the others nobody knows
	p.says("normal", "us2", "us3")
	f("us:in 2,3; uk:in 1")
	p.says("leased", "us2").says("normal", "us3")
	f("us:in 3; uk:in 1")
	p.says("recovering", "us3")
	f("us:in 1,2,3; uk:in 1")
	p.says("normal", "us3").set(overloaded, "us3")
	f("us:in 1,2; uk:in 1")
	p.says("normal", "us3")
	p.give(healthcheck.Status{State: up, Load: healthcheck.Load{Active: 9, Capacity: 9, Mode: "normal"}}, "us3")
	f("us:in 1,2,3; uk:in 1") // it cannot carry more
}

// TestAllStepAside: a datacenter all of whose brokers step aside for those that have their database refuses
// everybody. It goes at once, without a hold, and comes back with the first that takes logins again; where all
// do so, they are what there is.
func TestAllStepAside(t *testing.T) {
	requirement.Req(t, "DC7")
	p := newPlay(t, cb(pools(2, 2), func(n *Name) { n.ManualResume, n.FailbackDelay = true, time.Minute }))
	f := func(want string, which ...string) {
		t.Helper()
		p.give(healthcheck.Status{State: overloaded, Load: healthcheck.Load{Active: -1, Capacity: -1, Mode: "draining"}}, which...)
		p.direct()
		p.want(want)
	}
	p.says("normal", "us", "uk").direct()
	f("us:in 2; uk:in 1,2", "us1")
	f("us:aside; uk:in 1,2", "us1", "us2")
	p.sheds(0, 0)
	p.says("normal", "us2")
	f("us:in 2; uk:in 1,2", "us1")
	p.set(overloaded, "us2") // it is busy, which is another thing
	f("us:in 2; uk:in 1,2", "us1")
	p.set(down, "us2")
	f("us:aside; uk:in 1,2", "us1")
	f("us:aside! 1,2; uk:aside! 1,2", "us", "uk")
}

// TestModesMoveNobody: without prefer_normal a datacenter keeps its clients, whatever its members say.
func TestModesMoveNobody(t *testing.T) {
	p := newPlay(t, cb(pools(2, 2), func(n *Name) { n.UpThresh, n.ManualResume, n.FailbackDelay = 1, true, time.Minute }))
	p.direct()
	p.says("hostcache", "us").direct()
	p.at(time.Hour)
	p.sheds(0, 0)
	p.want("us:in 1,2; uk:in 1,2")
	p.ttl(30, "ttl, as")
}

// TestPreferNormal is the table of shift for modes: in the steps of overload, and back.
func TestPreferNormal(t *testing.T) {
	requirement.Req(t, "DC7")
	p := newPlay(t, cb(pools(2, 2), prefer, func(n *Name) { n.UpThresh, n.ManualResume, n.FailbackDelay = 1, true, time.Minute }))
	p.says("normal", "us", "uk").direct()
	f := func(at time.Duration, us, uk float64) {
		t.Helper()
		p.at(at)
		p.sheds(us, uk)
		p.want("us:in 1,2; uk:in 1,2") // no mode takes a pool out
	}
	p.says("hostcache", "us").direct()
	p.ttl(5, "us works without its database")
	f(14*time.Second, 0, 0)
	p.says("normal", "us1", "us2").direct() // it was over soon
	f(time.Minute, 0, 0)
	p.ttl(30, "ttl, as")

	p.says("hostcache", "us").direct()
	f(75*time.Second-1, 0, 0)
	f(75*time.Second, 0.05, 0)
	f(2*time.Minute, 0.20, 0)
	p.ttl(5, "us works without its database, 20 % of its clients go elsewhere")
	if us := p.answered(4000)["us"]; us < 0.77 || us > 0.83 {
		t.Errorf("%.0f %% are answered in us, want 80 %%", 100*us)
	}
	f(time.Hour, 0.95, 0) // some always stay
	p.says("leased", "uk").direct()
	f(time.Hour+time.Minute, 0.70, 0) // all are in the outage now: everybody goes home
	p.says("normal", "us").direct()
	f(time.Hour+2*time.Minute, 0.50, 0.20) // the first step a step time after it began
	p.says("normal", "uk").direct()
	f(2*time.Hour, 0, 0)
	p.want("us:in 1,2; uk:in 1,2")
}

// TestPreferNormalAndLoad: who is strained sends clients to whoever has room, in any mode; who is cut off
// only to members in mode normal with room.
func TestPreferNormalAndLoad(t *testing.T) {
	f := func(us, uk float64, set func(*play)) {
		t.Helper()
		p := newPlay(t, cb(pools(1, 1), prefer))
		p.direct()
		p.says("normal", "uk")
		set(p)
		p.direct()
		p.at(time.Minute)
		p.sheds(us, uk)
	}
	f(0, 0.2, func(p *play) { p.says("hostcache", "us").set(overloaded, "uk") })
	f(0, 0, func(p *play) { p.says("hostcache", "us").says("recovering", "uk") })
	f(0, 0, func(p *play) { p.says("hostcache", "us").set(down, "uk") })
	f(0, 0, func(p *play) { p.set(overloaded, "us", "uk") })
	f(0.2, 0, func(p *play) { p.says("hostcache", "us") })
	f(0, 0, func(p *play) { p.says("hostcache", "us").says("", "uk") }) // nobody knows whether it is better there
	f(0, 0, func(p *play) { p.says("", "us") })
	f(0.2, 0, func(p *play) { p.says("hostcache", "us").says("leased,normal", "uk") })
	f(0, 0.2, func(p *play) {
		p.says("hostcache", "us")
		p.give(healthcheck.Status{State: up, Load: healthcheck.Load{Active: 5, Capacity: 5, Mode: "normal"}}, "uk")
	})
}

// TestModesMoveAtMostAFifthPerMinute: whatever members say, true or not, a datacenter sheds or takes back
// at most a fifth within a minute, stays in, and never sends clients to one that sends it its own for
// the same reason.
func TestModesMoveAtMostAFifthPerMinute(t *testing.T) {
	type sample struct {
		at   time.Time
		shed [3]float64
	}
	rapid.Check(t, func(rt *rapid.T) {
		p := newPlay(t, cb(pools(2, 2, 1), prefer))
		p.direct()
		var past []sample
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			for _, m := range []string{"us1", "us2", "uk1", "uk2", "de1"} {
				if rapid.IntRange(0, 9).Draw(rt, "turn") == 0 {
					p.give(healthcheck.Status{
						State: rapid.SampledFrom([]healthcheck.State{up, up, up, overloaded}).Draw(rt, m),
						Load: healthcheck.Load{
							Active: 5, Capacity: rapid.IntRange(4, 9).Draw(rt, "capacity"),
							Mode: rapid.SampledFrom([]string{"", "normal", "hostcache", "recovering", "x"}).Draw(rt, "mode"),
						},
					}, m)
				}
			}
			p.now = p.now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(rt, "ms")) * time.Millisecond)
			p.direct()
			now, cut := sample{at: p.now}, 0
			for i := range p.view.names[0].pools {
				v := &p.view.names[0].pools[i]
				now.shed[i] = v.shed
				if !v.in || len(v.serving) == 0 {
					rt.Fatalf("a mode emptied a pool: %s", lineUp(p.view, 0))
				}
				if v.cause == forMode {
					cut++
				}
			}
			if cut == len(p.view.names[0].pools) {
				rt.Fatalf("all send their clients to the others: %s", lineUp(p.view, 0))
			}
			for _, was := range past {
				for i := range was.shed {
					if p.now.Sub(was.at) <= time.Minute && math.Abs(now.shed[i]-was.shed[i]) > 0.2+1e-9 {
						rt.Fatalf("pool %d: %v to %v within %s", i, was.shed[i], now.shed[i], p.now.Sub(was.at))
					}
				}
			}
			past = append(past, now)
		}
	})
}

// TestModesAreTold: in the status, and of each candidate.
func TestModesAreTold(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1), prefer))
	p.says("normal", "uk").direct()
	since := p.start.Add(-time.Minute)
	p.give(healthcheck.Status{State: up, Load: healthcheck.Load{Active: -1, Capacity: -1, Mode: "hostcache"}, ModeSince: since}, "us").direct()
	p.at(time.Hour)
	s := p.view.Name(0).Pools[0]
	if m := s.Members[0]; m.Mode != "hostcache" || !m.ModeSince.Equal(since) || s.ShedWhy != "works without its database" {
		t.Errorf("%+v", s)
	}
	told := func(c Client) string {
		d := p.view.Decide(0, c)
		return fmt.Sprintf("%s; %s", d.Candidates()[0].Why, d.Candidates()[1].Why)
	}
	moved, stays := "", ""
	for i := uint64(0); moved == "" || stays == ""; i++ {
		c := Client{Order: []int{0, 1, 2}, Draw: mix(i * golden)}
		if d := p.view.Decide(0, c); d.Datacenter() == "uk" {
			moved = told(c)
		} else {
			stays = told(c)
		}
	}
	if want := "chosen: the members that are up serve; serves, but sheds this client for members that have their database (prefer_normal) (SRV: next priority)"; moved != want {
		t.Errorf("got  %s\nwant %s", moved, want)
	}
	if want := "chosen: the members that are up serve; serves, but the client has an earlier datacenter that serves (SRV: next priority)"; stays != want {
		t.Errorf("got  %s\nwant %s", stays, want)
	}
	if c := p.view.Decide(0, Client{Order: []int{0, 1, 2}}).Candidates(); c[len(c)-1].Mode == c[0].Mode {
		t.Errorf("modes: %+v", c)
	}
}

func TestPreferNormalNeedsAMonitor(t *testing.T) {
	n := cb(pools(1), prefer)
	if err := n.WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	n.Monitor = ""
	if err := n.WithDefaults().Validate(); err == nil {
		t.Error("prefer_normal without a monitor is accepted")
	}
}
