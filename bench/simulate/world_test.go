package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ruleNamed finds a rule.
func ruleNamed(t *testing.T, name string) ruleMaker {
	t.Helper()
	i := slices.IndexFunc(rules(), func(m ruleMaker) bool { return m.name == name })
	if i < 0 {
		t.Fatalf("no rule %q", name)
	}
	return rules()[i]
}

func scenarioNamed(t *testing.T, id string) *scenario {
	t.Helper()
	all := scenarios()
	i := slices.IndexFunc(all, func(s scenario) bool { return s.id == id })
	if i < 0 {
		t.Fatalf("no scenario %q", id)
	}
	return &all[i]
}

// erlangC is the mean response time of M/M/c in units of the mean work, at a load from 0 to 1.
func erlangC(c int, load float64) float64 {
	a := load * float64(c)
	term, sum := 1.0, 0.0
	for k := range c {
		sum += term
		term *= a / float64(k+1)
	}
	waits := term / (1 - load)
	waits /= sum + waits
	return 1 + waits/(float64(c)*(1-load))
}

// TestQueueTheory compares one server with the formula that is known for it.
func TestQueueTheory(t *testing.T) {
	if got := erlangC(1, 0.5); math.Abs(got-2) > 1e-9 {
		t.Fatalf("the formula itself: M/M/1 at half load takes %v", got)
	}
	const mean = 20 * time.Millisecond
	for _, tc := range []struct {
		slots   int
		load    float64
		seconds int
	}{{1, 0.5, 600}, {1, 0.7, 1000}, {8, 0.7, 60}, {8, 0.9, 150}} {
		s := scenario{balancers: 1, servers: 1, slots: tc.slots, load: tc.load, work: []work{{part: 1, mean: mean}}}
		sum, n := 0.0, 0.0
		for seed := range 4 {
			w := newWorld(&s, ruleNamed(t, "plain-round-robin"), uint64(seed), time.Duration(tc.seconds)*time.Second, 0)
			for w.now < w.to || w.open > 0 {
				w.step()
			}
			sum += w.latency.Mean() * float64(w.latency.TotalCount())
			n += float64(w.latency.TotalCount())
		}
		got, want := sum/n, erlangC(tc.slots, tc.load)*float64(mean.Microseconds())
		if math.Abs(got/want-1) > 0.04 {
			t.Errorf("%d slots at load %v: mean %.0f us, Erlang C says %.0f", tc.slots, tc.load, got, want)
		}
	}
}

// TestWorkIsConserved steps through games: no slot is free while a request waits, requests of a
// server begin in the order in which they came, each takes its work, and every one ends once.
func TestWorkIsConserved(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := scenarios()
		s := all[rapid.IntRange(0, len(all)-1).Draw(rt, "scenario")]
		m := rules()[rapid.IntRange(0, len(rules())-1).Draw(rt, "rule")]
		w := newWorld(&s, m, rapid.Uint64().Draw(rt, "seed"), time.Second, 0)
		w.from = 0
		w.to = int64(100 * time.Millisecond)
		last := make([]int64, s.servers) // when the latest request that began had come
		seen := make([]int64, s.servers) // when it was looked at
		begun := map[int32]uint32{}
		for w.now < w.to || w.open > 0 {
			before := w.now
			w.step()
			if w.now < before {
				rt.Fatalf("time goes back from %d to %d", before, w.now)
			}
			for i := range w.servers {
				v := &w.servers[i]
				if v.queue.len() > 0 && v.busy < len(v.slots) {
					rt.Fatalf("server %d has %d waiting and %d of %d slots busy", i, v.queue.len(), v.busy, len(v.slots))
				}
				if v.at != w.now || seen[i] == w.now {
					continue // nothing began
				}
				seen[i] = w.now
				for _, slot := range v.slots[:v.busy] {
					r := &w.requests[slot.id]
					if begun[slot.id] == r.serial {
						continue
					}
					begun[slot.id] = r.serial
					if r.came < last[i] {
						rt.Fatalf("server %d began a request of %d after one of %d", i, r.came, last[i])
					}
					last[i] = r.came
				}
			}
		}
		if got := w.latency.TotalCount() + w.tally.errors; got != w.tally.requests {
			rt.Fatalf("%d of %d requests ended", got, w.tally.requests)
		}
	})
}

// TestServerKeepsItsSpeed: what takes 30 ms at full speed takes as long as the speeds say.
func TestServerKeepsItsSpeed(t *testing.T) {
	const ms = int64(time.Millisecond)
	v := newServer(2, 1, rand.New(rand.NewPCG(1, 1)))
	requests := []request{{work: float64(30 * ms)}, {work: float64(10 * ms)}, {work: float64(5 * ms)}}
	for id := range requests {
		v.put(0, int32(id), requests)
	}
	if v.wakes != 10*ms || v.held() != 3 {
		t.Fatalf("wakes at %d with %d requests", v.wakes, v.held())
	}
	if id := v.finish(10*ms, requests); id != 1 || requests[2].begun != 10*ms || v.wakes != 15*ms {
		t.Fatalf("request %d is ready, the third began at %d, wakes at %d", id, requests[2].begun, v.wakes)
	}
	v.scripted = 0.5
	v.adjust(12 * ms) // 3 ms and 18 ms are left
	if v.wakes != 18*ms {
		t.Fatalf("at half speed wakes at %d", v.wakes)
	}
	v.finish(18*ms, requests)
	v.scripted = 0
	v.adjust(20 * ms) // 14 ms are left
	if v.wakes != never {
		t.Fatalf("stopped, but wakes at %d", v.wakes)
	}
	v.scripted = 1
	v.adjust(100 * ms)
	if v.wakes != 114*ms {
		t.Fatalf("wakes at %d", v.wakes)
	}
}

// TestEventsAllocateNothing: a game of millions of events must not live from the garbage collector.
func TestEventsAllocateNothing(t *testing.T) {
	for _, m := range rules() {
		w := newWorld(scenarioNamed(t, "equal"), m, 1, time.Hour, defaultDelay)
		for w.now < int64(6*time.Second) { // longer than the time limit: the queues have grown
			w.step()
		}
		if n := testing.AllocsPerRun(5000, w.step); n != 0 {
			t.Errorf("%s: %v allocations for each event", m.name, n)
		}
	}
}

// TestSameChance: all rules of a seed see the same clients and the same trouble.
func TestSameChance(t *testing.T) {
	for _, id := range []string{"8-70", "storm"} {
		var requests int64
		var abilities []float64
		for i, name := range []string{"plain-round-robin", "hcl", "netscaler"} {
			w := newWorld(scenarioNamed(t, id), ruleNamed(t, name), 7, time.Second, defaultDelay)
			w.from, w.to = 0, int64(2*time.Second)
			for w.now < w.to || w.open > 0 {
				w.step()
			}
			w.minShare()
			var got []float64
			for k := range w.servers {
				got = append(got, math.Round(w.servers[k].ability))
			}
			if i == 0 {
				requests, abilities = w.tally.requests, got
			} else if w.tally.requests != requests || !slices.Equal(got, abilities) {
				t.Errorf("%s, %s: %d clients, abilities %v; want %d, %v", id, name, w.tally.requests, got, requests, abilities)
			}
		}
	}
}

func TestSoonest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(rt, "players")
		s, times := newSoonest(n), make([]int64, n)
		for i := range times {
			times[i] = never
		}
		for range 50 {
			i, at := rapid.IntRange(0, n-1).Draw(rt, "player"), rapid.Int64Range(0, 100).Draw(rt, "at")
			times[i] = at
			s.set(i, at)
			if player, first := s.first(); first != slices.Min(times) || times[player] != first {
				rt.Fatalf("player %d at %d of %v", player, first, times)
			}
		}
	})
}

func TestRing(t *testing.T) {
	var r ring[int]
	in, out := 0, 0
	for round := range 200 {
		for range round % 7 {
			r.push(in)
			in++
		}
		for range min(r.len(), round%5) {
			if *r.front() != out || r.pop() != out {
				t.Fatalf("out of order at %d", out)
			}
			out++
		}
	}
	if r.len() != in-out || r.len() < 50 {
		t.Errorf("%d left of %d - %d", r.len(), in, out)
	}
}
