package choice

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/healthcheck"
)

const ms = time.Millisecond

func states(ss ...healthcheck.State) []healthcheck.Status {
	var out []healthcheck.Status
	for _, s := range ss {
		out = append(out, healthcheck.Status{State: s, Load: healthcheck.Load{Active: -1, Capacity: -1}})
	}
	return out
}

func TestPick(t *testing.T) {
	const (
		up   = healthcheck.Up
		over = healthcheck.Overloaded
		down = healthcheck.Down
		unkn = healthcheck.Unknown
		drai = healthcheck.Draining
		main = healthcheck.Maintenance
	)
	lrt := LeastResponseTimeName
	tests := []struct {
		name      string
		method    string
		states    []healthcheck.Status
		loads     []Load
		weights   []int
		persisted int
		draw      uint64
		want      int
		how       How
	}{
		{"nobody", lrt, nil, nil, nil, -1, 0, -1, NoneServing},
		{"all down", lrt, states(down, down), make([]Load, 2), nil, -1, 0, -1, NoneServing},
		{"draining and maintenance", lrt, states(drai, main), make([]Load, 2), nil, 0, 0, -1, NoneServing},
		{"the only one up", lrt, states(down, up, over), make([]Load, 3), nil, -1, 0, 1, ByMethod},
		{"up before overloaded even if persisted", lrt, states(over, up), make([]Load, 2), nil, 0, 0, 1, ByMethod},
		{"overloaded serve when none is up", lrt, states(down, over), make([]Load, 2), nil, -1, 0, 1, ByMethod},
		{"unknown serve before the first round", lrt, states(unkn, down), make([]Load, 2), nil, -1, 0, 0, ByMethod},
		{"faster wins", lrt, states(up, up), []Load{{TTFB: 30 * ms}, {TTFB: 10 * ms}}, nil, -1, 0, 1, ByMethod},
		{"in flight counts", lrt, states(up, up), []Load{{TTFB: 30 * ms}, {TTFB: 10 * ms, InFlight: 3}}, nil, -1, 0, 0, ByMethod},
		{"weight counts", lrt, states(up, up), []Load{{TTFB: 30 * ms}, {TTFB: 10 * ms}}, []int{4, 1}, -1, 0, 0, ByMethod},
		{"penalty counts", lrt, states(up, up), []Load{{TTFB: 30 * ms}, {TTFB: ms, Penalty: 2 * time.Second}}, nil, -1, 0, 0, ByMethod},
		{"below the floor all are equal", lrt, states(up, up), []Load{{TTFB: 10 * time.Microsecond, InFlight: 1}, {TTFB: 900 * time.Microsecond}}, nil, -1, 0, 1, ByMethod},
		{"without a sample: the mean, no flood", lrt, states(up, up, up), []Load{{TTFB: 10 * ms}, {TTFB: 30 * ms}, {InFlight: 1}}, nil, -1, 0, 0, ByMethod},
		{"unused fades and is tried again", lrt, states(up, up), []Load{{TTFB: 900 * ms, Idle: 3 * time.Minute}, {TTFB: 10 * ms}}, nil, -1, 0, 0, ByMethod},
		{"but by one request, not many", lrt, states(up, up), []Load{{TTFB: 900 * ms, Idle: 3 * time.Minute, InFlight: 2}, {TTFB: 10 * ms}}, nil, -1, 0, 1, ByMethod},
		{"ties rotate 0", lrt, states(up, up, up), make([]Load, 3), nil, -1, 3, 0, ByMethod},
		{"ties rotate 1", lrt, states(up, up, up), make([]Load, 3), nil, -1, 4, 1, ByMethod},
		{"persisted beats cost", lrt, states(up, up), []Load{{TTFB: 30 * ms}, {TTFB: 10 * ms}}, nil, 0, 0, 0, Persisted},
		{"persisted member that is down", lrt, states(down, up), make([]Load, 2), nil, 0, 0, 1, ByMethod},
		{"persisted member that is shunned", lrt, states(up, up), []Load{{Shunned: true}, {}}, nil, 0, 0, 1, ByMethod},
		{"persisted member that was tried", lrt, states(up, up), []Load{{Tried: true}, {}}, nil, 0, 0, 1, ByMethod},
		{"persisted member that left the pool", lrt, states(up, up), []Load{{TTFB: ms}, {TTFB: 5 * ms}}, nil, -1, 0, 0, ByMethod},
		{"shunned ones last", lrt, states(up, up), []Load{{Shunned: true, TTFB: ms}, {TTFB: 50 * ms}}, nil, -1, 0, 1, ByMethod},
		{"all shunned: all are used", lrt, states(up, up), []Load{{Shunned: true, TTFB: ms}, {Shunned: true, TTFB: 50 * ms}}, nil, 1, 0, 0, ByMethodAll},
		{"shunned does not open the way for the overloaded", lrt, states(up, over), []Load{{Shunned: true}, {}}, nil, -1, 0, 0, ByMethodAll},
		{"all tried", lrt, states(up, up), []Load{{Tried: true}, {Tried: true}}, nil, -1, 0, -1, AllTried},
		{"round robin", "round-robin", states(up, down, up), make([]Load, 3), nil, -1, 7, 2, ByMethod},
		{"round robin ignores cost", "round-robin", states(up, up), []Load{{TTFB: time.Second, InFlight: 50}, {}}, nil, -1, 2, 0, ByMethod},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := Question{Method: tt.method, States: tt.states, Loads: tt.loads, Weights: tt.weights, Persisted: tt.persisted, Draw: tt.draw}
			if q.Weights == nil {
				q.Weights = make([]int, len(tt.states))
			}
			got, r := Pick(&q)
			if got != tt.want || r.How != tt.how {
				t.Errorf("Pick = %d, %q; want %d, %q", got, r.How, tt.want, tt.how)
			}
			if r.Serving == "" {
				t.Error("no word on who may serve")
			}
		})
	}
}

func TestRoundRobinShares(t *testing.T) {
	q := Question{Method: "round-robin", States: states(healthcheck.Up, healthcheck.Up, healthcheck.Up), Loads: make([]Load, 3), Weights: []int{3, 1, 2}, Persisted: -1}
	var got [3]int
	run, longest, before := 0, 0, -1
	for q.Draw = range 600 {
		i, _ := Pick(&q)
		got[i]++
		if i == before {
			run++
		} else {
			run, before = 1, i
		}
		longest = max(longest, run)
	}
	if got != [3]int{300, 100, 200} {
		t.Errorf("shares %v, want 300 100 200", got)
	}
	if longest > 2 {
		t.Errorf("%d times the same member in a row", longest)
	}
}

// TestPickNeverOutsideServing is HK4 under random states, figures and histories.
func TestPickNeverOutsideServing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 8).Draw(t, "members")
		q := Question{
			Method:    rapid.SampledFrom([]string{"least-response-time", "round-robin"}).Draw(t, "method"),
			Persisted: rapid.IntRange(-1, n-1+1).Draw(t, "persisted"),
			Draw:      rapid.Uint64().Draw(t, "draw"),
		}
		if q.Persisted >= n {
			q.Persisted = -1
		}
		for range n {
			q.States = append(q.States, healthcheck.Status{
				State: healthcheck.State(rapid.IntRange(0, int(healthcheck.Maintenance)).Draw(t, "state")),
				Load:  healthcheck.Load{Active: rapid.IntRange(-1, 9).Draw(t, "active"), Capacity: rapid.IntRange(-1, 9).Draw(t, "capacity"), Mode: rapid.SampledFrom([]string{"", "normal", "hostcache"}).Draw(t, "mode")},
			})
			q.Weights = append(q.Weights, rapid.IntRange(1, 5).Draw(t, "weight"))
			q.Loads = append(q.Loads, Load{
				InFlight: rapid.Int64Range(0, 1000).Draw(t, "inflight"),
				TTFB:     time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "ttfb")),
				Idle:     time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "idle")),
				Penalty:  time.Duration(rapid.Int64Range(0, int64(penaltyMax)).Draw(t, "penalty")),
				Shunned:  rapid.Bool().Draw(t, "shunned"), Tried: rapid.Bool().Draw(t, "tried"),
			})
		}
		serving, _ := healthcheck.Serving(nil, q.States)
		allowed := map[int]bool{}
		for _, i := range serving {
			if !q.Loads[i].Tried {
				allowed[i] = true
			}
		}
		got, r := Pick(&q)
		switch {
		case len(allowed) == 0 && got != -1:
			t.Fatalf("picked %d, none is allowed", got)
		case len(allowed) > 0 && !allowed[got]:
			t.Fatalf("picked %d (%s), allowed are %v", got, r.How, allowed)
		}
		if again, r2 := Pick(&q); again != got || r2 != r {
			t.Fatalf("same question, answers %d and %d", got, again)
		}
	})
}

// TestPickAllocatesNothing keeps the decision off the heap.
func TestPickAllocatesNothing(t *testing.T) {
	q := benchQuestion(LeastResponseTimeName)
	if n := testing.AllocsPerRun(100, func() { Pick(&q) }); n != 0 {
		t.Errorf("%v allocations per decision", n)
	}
}

func benchQuestion(method string) Question {
	q := Question{Method: method, Persisted: -1, Scratch: make([]int, 0, 8)}
	for i := range 8 {
		q.States = append(q.States, healthcheck.Status{State: healthcheck.Up, Load: healthcheck.Load{Active: -1, Capacity: -1}})
		q.Loads = append(q.Loads, Load{TTFB: time.Duration(i+5) * ms, InFlight: int64(i % 3)})
		q.Weights = append(q.Weights, 1+i%2)
	}
	return q
}

func BenchmarkPick(b *testing.B) {
	for _, method := range []string{"least-response-time", "round-robin"} {
		b.Run(method, func(b *testing.B) {
			q := benchQuestion(method)
			b.ReportAllocs()
			for b.Loop() {
				q.Draw++
				Pick(&q)
			}
		})
	}
}

func TestAverages(t *testing.T) {
	if got := blend(0, 20*ms, 0); got != 20*ms {
		t.Errorf("first sample: %v", got)
	}
	if got := blend(100*ms, 200*ms, 0); got != 110*ms {
		t.Errorf("a sample right after: %v, want a tenth of the way", got)
	}
	if got := blend(100*ms, 200*ms, averageHalfLife); got != 150*ms {
		t.Errorf("a sample after one half-life: %v, want half way", got)
	}
	if got := faded(4*time.Second, penaltyHalfLife); got != 2*time.Second {
		t.Errorf("penalty after one half-life: %v", got)
	}
	for n, want := range map[int64]time.Duration{0: 0, 1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 5: shunMax, 90: shunMax} {
		if got := shunFor(n); got != want {
			t.Errorf("shunFor(%d) = %v, want %v", n, got, want)
		}
	}
}

// TestFailuresPenalise plays the fast failer: quick errors must not make a member attractive.
func TestFailuresPenalise(t *testing.T) {
	var good, bad Stats
	now := int64(time.Second)
	good.Answered(now, 20*ms, 0, 200)
	bad.Answered(now, 20*ms, 0, 200)
	for range 5 {
		now += int64(10 * ms)
		bad.Answered(now, ms, 0, 503)
	}
	g, b := good.Load(now, 0), bad.Load(now, 0)
	if b.TTFB != g.TTFB {
		t.Errorf("errors moved the average from %v to %v", g.TTFB, b.TTFB)
	}
	if f := (Field{Mean: 20 * ms, Least: 20 * ms}); Cost(b, 1, f) < 50*Cost(g, 1, f) {
		t.Errorf("five failures in a row cost only %v", b.Penalty)
	}
	if left := bad.Load(now+int64(2*time.Minute), 0).Penalty; left != 0 {
		t.Errorf("penalty never ends: %v", left)
	}
}

// TestShunning walks the state diagram of the package text.
func TestShunning(t *testing.T) {
	var s Stats
	now := int64(time.Minute)
	s.Unreachable(now)
	if !s.Load(now, 0).Shunned {
		t.Fatal("not shunned after a refused connect")
	}
	later := now + int64(1100*ms)
	if s.Load(later, 0).Shunned {
		t.Fatal("still shunned after a second")
	}
	s.Begin(later, time.Second)
	if !s.Load(later+int64(ms), 0).Shunned {
		t.Error("a second request may go there while the trial is under way")
	}
	s.End(later)
	s.Unreachable(later)
	if !s.Load(later+int64(1500*ms), 0).Shunned {
		t.Error("the second failure in a row does not last longer")
	}
	s.Answered(later, ms, 0, 200)
	if s.Load(later, 0).Shunned {
		t.Error("still shunned after an answer")
	}
}
