package choice

import (
	"strconv"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

func TestRoundRobinShares(t *testing.T) {
	for _, tt := range []struct {
		weights []int
		longest int // the same member in a row
	}{
		{[]int{3, 1, 2}, 2}, {[]int{1, 1, 1, 1}, 1}, {[]int{1000, 1}, 1000}, {[]int{7, 7, 7}, 1}, {[]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 2},
	} {
		q := poolOf(RoundRobinName, len(tt.weights))
		q.Weights = tt.weights
		total := 0
		for _, w := range tt.weights {
			total += w
		}
		got := make([]int, len(tt.weights))
		run, longest, before := 0, 0, -1
		for q.Draw = range uint64(3 * total) {
			i, _ := Pick(&q)
			got[i]++
			if i == before {
				run++
			} else {
				run, before = 1, i
			}
			longest = max(longest, run)
		}
		for i, w := range tt.weights {
			if got[i] != 3*w {
				t.Errorf("weights %v: shares %v after three rounds", tt.weights, got)
				break
			}
		}
		if longest > tt.longest {
			t.Errorf("weights %v: %d times the same member in a row", tt.weights, longest)
		}
	}
}

// TestSlowStart: a member that came back has a share that grows with time, under every method
// that spreads requests.
func TestSlowStart(t *testing.T) {
	for _, method := range Methods() {
		t.Run(method, func(t *testing.T) {
			before := -1.0
			for _, since := range []time.Duration{time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, 0} {
				q := poolOf(method, 4)
				q.SlowStart = 30 * time.Second
				for i := range q.Loads {
					q.Loads[i] = Load{TTFB: 20 * ms, OK200: 20 * ms}
				}
				q.Loads[1].Since = since
				got := 0
				const requests = 4000
				for k := range requests {
					q.Hash = mix(uint64(k))
					if step(&q) == 1 {
						got++
					}
				}
				w := 1.0
				if since > 0 {
					w = max(rampFloor, min(1, since.Seconds()/30))
				}
				share, want := float64(got)/requests, w/(3+w)
				if share < 0.85*want-0.005 || share > 1.15*want+0.005 {
					t.Errorf("%v after it came: share %.3f, want about %.3f", since, share, want)
				}
				if share < before-0.01 {
					t.Errorf("%v after it came: share %.3f, less than before", since, share)
				}
				before = share
			}
		})
	}
}

// TestFairness: equal members get equal shares and weighted ones their weight's, under every
// method, at little and at much load.
func TestFairness(t *testing.T) {
	for _, method := range Methods() {
		for _, weights := range [][]int{{1, 1, 1, 1, 1}, {1, 2, 3}} {
			for _, open := range []int{0, 1, 30} { // requests that stay in flight
				if open == 1 && weights[1] > 1 {
					continue // who is idle goes before who is heavy
				}
				q := poolOf(method, len(weights))
				q.Weights = weights
				total := 0
				for i, w := range weights {
					total += w
					q.Loads[i] = Load{TTFB: 20 * ms, OK200: 20 * ms}
				}
				got := make([]int, len(weights))
				var flying []int
				const requests = 6000
				for k := range requests {
					q.Hash = HashKey(strconv.AppendInt(nil, int64(k), 10))
					i := step(&q)
					got[i]++
					if flying = append(flying, i); len(flying) > open {
						q.Loads[flying[0]].InFlight--
						q.Loads[flying[0]].NodeInFlight--
						flying = flying[1:]
					}
				}
				for i, w := range weights {
					if share, fair := float64(got[i])/requests, float64(w)/float64(total); share < 0.9*fair || share > 1.1*fair {
						t.Errorf("%s, weights %v, %d in flight: %v", method, weights, open, got)
						break
					}
				}
			}
		}
	}
}

// TestFastFailer: one of five members answers nine requests in ten with an error at once, the
// others take 20 ms. What it spoils stays below 1 % of the requests, whether they come one by one
// or many at a time; and when it is well again it gets its share back.
func TestFastFailer(t *testing.T) {
	covers.Req(t, "LB2")
	for _, every := range []time.Duration{40 * ms, 2 * ms} {
		stats := make([]Stats, 5)
		q := poolOf(LeastResponseTimeName, len(stats))
		type answer struct {
			at     int64
			member int
		}
		var flying []answer // in the order of their ends
		now, errors, ill := int64(time.Second), 0, true
		got := make([]int, len(stats))
		run := func(d time.Duration) (requests int) {
			clear(got)
			for end := now + int64(d); now < end; now += int64(every) {
				for len(flying) > 0 && flying[0].at <= now {
					a := flying[0]
					flying = flying[1:]
					stats[a.member].Answered(a.at, 20*ms, 0, 200)
					stats[a.member].End(a.at, 0)
				}
				for i := range stats {
					q.Loads[i] = stats[i].Load(now, 0)
				}
				requests++
				q.Draw++
				i, _ := Pick(&q)
				stats[i].Begin(now, 0, time.Second)
				got[i]++
				if i == 4 && ill && requests%10 > 0 {
					errors++
					stats[i].Answered(now, ms, 0, 503)
					stats[i].End(now, 0)
					continue
				}
				flying = append(flying, answer{now + int64(20*ms), i})
			}
			return requests
		}
		if n := run(2 * time.Minute); errors == 0 || float64(errors) > 0.01*float64(n) {
			t.Errorf("a request every %v: %d of %d failed", every, errors, n)
		}
		ill = false
		run(90 * time.Second) // it is forgiven
		n := run(time.Minute)
		for i := range got {
			if fair := float64(n) / 5; float64(got[i]) < 0.8*fair {
				t.Errorf("a request every %v: shares %v when all are well", every, got)
				break
			}
		}
	}
}
