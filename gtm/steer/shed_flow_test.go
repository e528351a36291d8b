package steer

import (
	"math"
	"testing"
	"time"

	requirement "switchpoint/internal/covers"
)

// answered is the share of the clients near us that each datacenter gets.
func (p *play) answered(draws int) map[string]float64 {
	out := map[string]float64{}
	for i := range draws {
		d := p.view.Decide(0, Client{Order: []int{0, 1, 2}, Draw: mix(uint64(i) * golden)})
		out[d.Datacenter()] += 1 / float64(draws)
	}
	return out
}

// TestOverloadComesAndGoes counts real decisions while the datacenter that takes the clients of an
// overloaded one becomes overloaded too, and relaxes, again and again: within a minute no datacenter
// sheds or takes back more than a fifth. With three of them the second may at once get clients of the
// first one and get back those that went on to the third.
func TestOverloadComesAndGoes(t *testing.T) {
	requirement.Req(t, "HK4")
	for _, datacenters := range [][]int{{1, 1}, {1, 1, 1}} {
		p := newPlay(t, cb(pools(datacenters...)))
		p.set(overloaded, "us").direct()
		var past []map[string]float64 // four a minute
		for i := range 80 {
			p.at(time.Duration(i) * shedEvery)
			if i%16 == 8 {
				p.set(overloaded, "uk").direct()
			}
			if i%16 == 15 {
				p.set(up, "uk").direct()
			}
			now := p.answered(2000)
			past = append(past, now)
			for _, was := range past[max(0, len(past)-5):] {
				for _, dc := range []string{"us", "uk", "de"} {
					most := 0.2
					if dc != "us" {
						most *= float64(len(datacenters) - 1)
					}
					if moved := math.Abs(now[dc] - was[dc]); moved > most+0.04 { // two samples of 2,000
						t.Fatalf("%d datacenters, at %s: %.0f %% of the clients came to or left %s within a minute", len(datacenters), p.now.Sub(p.start), 100*moved, dc)
					}
				}
			}
		}
		if p.answered(2000)["us"] > 0.9 {
			t.Errorf("nobody was moved: %v", p.answered(2000))
		}
	}
}
