package choice

import (
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
)

// poolOf is a question about n members that are up and know nothing yet.
func poolOf(method string, n int) Question {
	q := Question{
		Method: method, Persisted: -1, Loads: make([]Load, n), Weights: slices.Repeat([]int{1}, n),
		Scratch: make([]int, 0, n), States: states(slices.Repeat([]healthcheck.State{healthcheck.Up}, n)...),
	}
	for i := range n {
		q.Keys = append(q.Keys, HashKey([]byte("192.0.2."+strconv.Itoa(i)+":8080")))
	}
	return q
}

// step asks once, a millisecond later, and counts the request in.
func step(q *Question) int {
	q.Draw++
	for i := range q.Loads {
		q.Loads[i].Idle += ms
	}
	i, _ := Pick(q)
	q.Loads[i].InFlight++
	q.Loads[i].NodeInFlight++
	q.Loads[i].Idle = 0
	return i
}

// play asks n times, with every request in flight from then on, and gives the members by name.
func play(q *Question, n int) string {
	var got []byte
	for range n {
		i := step(q)
		got = append(got, byte('1'+i))
	}
	return string(got)
}

func TestLeastConnections(t *testing.T) {
	for _, tt := range []struct {
		name     string
		inFlight []int64
		weights  []int
		want     string
	}{
		{"fewest first", []int64{3, 0, 1}, []int{1, 1, 1}, "2"},
		{"ties take turns", []int64{0, 0, 0}, []int{1, 1, 1}, "123123"},
		{"by weight", []int64{6, 3}, []int{3, 1}, "1"},
		{"filled by weight", []int64{1, 1}, []int{4, 1}, "111"},
		{"negative counts harm nobody", []int64{-1, 0}, []int{1, 1}, "1"},
	} {
		for _, method := range []string{LeastConnectionsName, FastestNodeName} {
			t.Run(method+" "+tt.name, func(t *testing.T) {
				q := poolOf(method, len(tt.inFlight))
				q.Weights = tt.weights
				for i, n := range tt.inFlight {
					// Each method has a figure of its own, and no eye for the other or for time.
					q.Loads[i] = Load{InFlight: n, NodeInFlight: n, TTFB: time.Duration(1+i) * time.Second}
					if method == FastestNodeName {
						q.Loads[i].InFlight = 100 - n
					} else {
						q.Loads[i].NodeInFlight = 100 - n
					}
				}
				if got := play(&q, len(tt.want)); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			})
		}
	}
}

// TestPoliciesPickCandidates: no method ever picks what it was not given, whatever the figures.
func TestPoliciesPickCandidates(t *testing.T) {
	figures := rapid.OneOf(rapid.Int64Range(-2, 1000), rapid.SampledFrom([]int64{0, math.MaxInt64, math.MinInt64}))
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "members")
		q := poolOf("", n)
		q.Class = Class(rapid.IntRange(0, MaxClasses-1).Draw(t, "class"))
		q.Draw, q.Hash = rapid.Uint64().Draw(t, "draw"), rapid.Uint64().Draw(t, "hash")
		q.SlowStart = time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "slow start"))
		q.Startup = rapid.Bool().Draw(t, "startup")
		for i := range n {
			q.Weights[i] = rapid.IntRange(0, 1000).Draw(t, "weight")
			l := &q.Loads[i]
			l.InFlight, l.NodeInFlight = figures.Draw(t, "in flight"), figures.Draw(t, "node")
			for _, d := range []*time.Duration{&l.TTFB, &l.OK200, &l.Idle, &l.Since} {
				*d = time.Duration(figures.Draw(t, "time"))
			}
			for c := range l.Classes {
				if Class(c) != q.Class {
					l.Classes[c] = ClassLoad{figures.Draw(t, "in flight"), time.Duration(figures.Draw(t, "time"))}
				}
			}
			l.Failing = rapid.Float64Range(0, 1).Draw(t, "failing")
		}
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		among := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, n, rapid.ID[int]).Draw(t, "among")
		for _, method := range Methods() {
			scratch := slices.Clone(among)
			got := methods[method](&q, scratch)
			if !slices.Contains(among, got) {
				t.Fatalf("%s picked %d of %v", method, got, among)
			}
			if again := methods[method](&q, slices.Clone(among)); again != got {
				t.Fatalf("%s: same question, %d and %d", method, got, again)
			}
		}
	})
}

func BenchmarkPick(b *testing.B) {
	for _, members := range []int{10, 200} {
		for _, method := range Methods() {
			b.Run(method+"/"+strconv.Itoa(members), func(b *testing.B) {
				q := busyPool(method, members)
				b.ReportAllocs()
				for b.Loop() {
					q.Draw++
					q.Hash = mix(q.Draw)
					Pick(&q)
				}
			})
		}
	}
}

// TestPoliciesAllocateNothing keeps decisions off the heap.
func TestPoliciesAllocateNothing(t *testing.T) {
	for _, method := range Methods() {
		q := busyPool(method, 20)
		if n := testing.AllocsPerRun(100, func() { q.Draw++; Pick(&q) }); n != 0 {
			t.Errorf("%s: %v allocations per decision", method, n)
		}
	}
}

// busyPool has members that differ in everything.
func busyPool(method string, n int) Question {
	q := poolOf(method, n)
	for i := range n {
		q.Weights[i] = 1 + i%3
		q.Loads[i] = Load{TTFB: time.Duration(i%7+5) * ms, OK200: time.Duration(i%5+5) * ms, InFlight: int64(i % 4), NodeInFlight: int64(i % 6)}
		q.Loads[i].Classes[1] = ClassLoad{int64(i % 2), 100 * ms}
	}
	return q
}

// TestAgentWeight: the part of its weight that a member asks for is its share under every method
// that goes by weight, together with the configured weight and slow start.
func TestAgentWeight(t *testing.T) {
	for _, method := range []string{RoundRobinName, LeastResponseTimeName, LeastConnectionsName, FastestNodeName, NetScalerName, HashName} {
		t.Run(method, func(t *testing.T) {
			q := Question{Method: method, Weights: []int{3, 1, 1}, States: states(up, up, up), Loads: make([]Load, 3), Persisted: -1, SlowStart: time.Minute, Keys: []uint64{11, 22, 33}}
			q.States[0].Load.Weight = 50 // of 3: 1.5
			q.States[1].Load.Weight = 200
			q.Loads[2].Since = 30 * time.Second // half of 1
			var got [3]int
			const draws = 4000
			for n := range draws {
				q.Draw, q.Hash = uint64(n), mix(uint64(n))
				i, _ := Pick(&q)
				got[i]++
			}
			for i, want := range []float64{1.5 / 4, 2.0 / 4, 0.5 / 4} {
				if share := float64(got[i]) / draws; share < want-0.03 || share > want+0.03 {
					t.Errorf("member %d gets %.3f, want %.3f", i, share, want)
				}
			}
		})
	}
}

// TestAgentWeightBounds: no number that an agent says makes a choice hang or leaves a member out.
func TestAgentWeightBounds(t *testing.T) {
	for _, said := range []int{-1, 0, 1, 100, mostAsked, 999_999} {
		q := Question{Method: RoundRobinName, Weights: []int{1000, 7, 1}, States: states(up, up, up), Loads: make([]Load, 3), Persisted: -1, SlowStart: time.Hour}
		q.States[0].Load.Weight = said
		q.Loads[2].Since = 1
		for n := range 50 {
			q.Draw = uint64(n) * 7919
			if i, _ := Pick(&q); i < 0 {
				t.Errorf("%d %%: nobody", said)
			}
		}
		if w := weightOf(&q, 0); w <= 0 || w > 10*1000 {
			t.Errorf("%d %% of 1000 is %v", said, w)
		}
	}
}

// TestGuessBelowFloor: where other classes are answered at once by all, chance differences there are
// no ground to think a member slow at what it was never asked.
func TestGuessBelowFloor(t *testing.T) {
	q := Question{Method: LeastResponseTimeName, Class: 1, Weights: []int{1, 1}, States: states(up, up), Persisted: -1, Loads: []Load{
		{TTFB: 300 * ms, Idle: ms}, {Idle: time.Second},
	}}
	q.Loads[0].Classes[0].TTFB, q.Loads[1].Classes[0].TTFB = 200*time.Microsecond, 800*time.Microsecond
	if i, _ := Pick(&q); i != 1 {
		t.Errorf("picked %d, not the one that was never asked", i)
	}
}
