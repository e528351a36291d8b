package steer

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
	requirement "switchpoint/internal/covers"
)

// sheds compares the shares that us and uk shed.
func (p *play) sheds(us, uk float64) {
	p.t.Helper()
	for i, want := range []float64{us, uk} {
		if got := p.view.names[0].pools[i].shed; math.Abs(got-want) > 1e-9 {
			p.t.Errorf("at %s: %s sheds %v, want %v", p.now.Sub(p.start), p.table.names[0].pools[i].Datacenter, got, want)
		}
	}
}

// TestShedding is the table of shift: in small steps up, in small steps down.
func TestShedding(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1)))
	p.set(overloaded, "us").direct()
	p.sheds(0, 0)
	f := func(at time.Duration, us float64) {
		t.Helper()
		p.at(at)
		p.sheds(us, 0)
	}
	f(15*time.Second-1, 0)
	f(15*time.Second, 0.05)
	f(60*time.Second, 0.20)
	f(2*time.Minute, 0.40)
	p.set(up, "us")
	f(2*time.Minute+14*time.Second, 0.40)
	f(2*time.Minute+15*time.Second, 0.35)
	f(4*time.Minute-1, 0.05)
	f(4*time.Minute, 0)
	p.set(overloaded, "us").direct()
	f(8*time.Minute, 0.80) // the first step a step time after the strain began
	f(20*time.Minute, 0.95)
	f(time.Hour, 0.95) // some clients always stay
	p.set(overloaded, "uk")
	f(time.Hour+15*time.Second, 0.90) // there is no relief any more: back, but not at once
	p.set(down, "uk")
	f(time.Hour+16*time.Second, 0) // where they went is gone
	if p.view.Due().After(p.start.Add(2*time.Hour)) || p.view.names[0].policy != "" {
		t.Errorf("due %s", p.view.Due())
	}
}

// TestStrained: capacity that is used up counts as overload where all of them report it.
func TestStrained(t *testing.T) {
	load := func(active, capacity int) healthcheck.Status {
		return healthcheck.Status{State: up, Load: healthcheck.Load{Active: active, Capacity: capacity}}
	}
	f := func(want float64, first, second healthcheck.Status) {
		t.Helper()
		p := newPlay(t, cb(pools(2, 1)))
		p.give(first, "us1").give(second, "us2").direct()
		p.at(time.Minute)
		p.sheds(want, 0)
	}
	f(0.2, load(9, 9), load(10, 9))
	f(0, load(9, 9), load(8, 9))
	f(0, load(9, 9), load(-1, -1))
	f(0.2, load(0, 0), healthcheck.Status{State: down}) // what does not serve does not count: strained
}

// TestOverloadMovesAtMostAFifthPerMinute: gtm moves at most 20 % of a datacenter's load per
// minute, whatever the loads do; and overload takes no pool out, also with nobody up.
func TestOverloadMovesAtMostAFifthPerMinute(t *testing.T) {
	requirement.Req(t, "HK4")
	rapid.Check(t, func(rt *rapid.T) {
		p := newPlay(t, cb(pools(2, 2, 1)))
		type sample struct {
			at    time.Time
			share [3]float64
		}
		var past []sample
		p.direct()
		states := []healthcheck.State{up, overloaded}
		for range rapid.IntRange(1, 100).Draw(rt, "steps") {
			for _, m := range []string{"us1", "us2", "uk1", "uk2", "de1"} {
				if rapid.IntRange(0, 19).Draw(rt, "turn") == 0 {
					p.give(healthcheck.Status{
						State: rapid.SampledFrom(states).Draw(rt, m),
						Load:  healthcheck.Load{Active: 5, Capacity: rapid.IntRange(4, 6).Draw(rt, "capacity")},
					}, m)
				}
			}
			to := p.now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(rt, "ms")) * time.Millisecond)
			if due := p.view.Due(); !due.IsZero() && due.Before(to) && rapid.Bool().Draw(rt, "in time") {
				if to = due.Add(-time.Duration(rapid.IntRange(0, 1).Draw(rt, "just before"))); to.Before(p.now) {
					to = p.now
				}
			}
			p.now = to
			s := sample{at: p.now}
			p.direct()
			for i, v := range p.view.names[0].pools {
				s.share[i] = v.shed
				if !v.in || len(v.serving) == 0 {
					rt.Fatalf("overload emptied a pool: %s", lineUp(p.view, 0))
				}
			}
			for _, was := range past {
				for i := range s.share {
					if s.at.Sub(was.at) <= time.Minute && math.Abs(s.share[i]-was.share[i]) > 0.2+1e-9 {
						rt.Fatalf("pool %d: %v to %v within %s", i, was.share[i], s.share[i], s.at.Sub(was.at))
					}
				}
			}
			past = append(past, s)
		}
	})
	movedClients(t)
	sharedFailure(t)
}

// movedClients counts real decisions: no more clients than the share are answered elsewhere.
func movedClients(t *testing.T) {
	p := newPlay(t, cb(pools(1, 1)))
	p.direct()
	p.set(overloaded, "us").direct()
	p.at(time.Minute)
	us, all := 0, 4000
	for i := range all {
		c := Client{
			Order: []int{0, 1, 2}, Draw: uint64(i) * 0x9e3779b97f4a7c15,
			Network: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), 32),
		}
		if d := p.view.Decide(0, c); d.Datacenter() == "us" {
			us++
		}
	}
	if share := 1 - float64(us)/float64(all); share < 0.17 || share > 0.23 {
		t.Errorf("after a minute of overload %.1f %% of the clients are answered elsewhere, want about 20 %%", share*100)
	}
}

// sharedFailure: when what all members share fails, their traffic fails everywhere, and none of them is
// out; spare capacity orders the overloaded ones.
func sharedFailure(t *testing.T) {
	p := newPlay(t, cb(pools(2, 2), noLimit))
	p.direct()
	p.give(healthcheck.Status{State: down, Source: healthcheck.FromTraffic}, "us", "uk").direct()
	p.want("us:traffic! 1,2; uk:traffic! 1,2")
	for i := range 2 {
		p.give(healthcheck.Status{State: overloaded, Load: healthcheck.Load{Active: 1, Capacity: 2 + i}}, fmt.Sprintf("us%d", i+1))
	}
	p.direct()
	p.want("us:in 2,1; uk:traffic")
}
