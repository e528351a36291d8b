package choice

import (
	"testing"
	"time"

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
		{"draining and maintenance", lrt, states(drai, main), make([]Load, 2), nil, -1, 0, -1, NoneServing},
		{"the only one up", lrt, states(down, up, over), make([]Load, 3), nil, -1, 0, 1, ByMethod},
		{"up before overloaded even if persisted", lrt, states(over, up), make([]Load, 2), nil, 0, 0, 1, ByMethod},
		{"overloaded serve when none is up", lrt, states(down, over), make([]Load, 2), nil, -1, 0, 1, ByMethod},
		{"unknown serve before the first round", lrt, states(unkn, down), make([]Load, 2), nil, -1, 0, 0, ByMethod},
		{"faster wins", lrt, states(up, up), []Load{{TTFB: 30 * ms}, {TTFB: 10 * ms}}, nil, -1, 0, 1, ByMethod},
		{"in flight counts", lrt, states(up, up), []Load{{TTFB: 30 * ms}, {TTFB: 10 * ms, InFlight: 3}}, nil, -1, 0, 0, ByMethod},
		{"weight counts", lrt, states(up, up), []Load{{TTFB: 30 * ms, InFlight: 4}, {TTFB: 10 * ms, InFlight: 9}}, []int{4, 1}, -1, 0, 0, ByMethod},
		{"penalty counts", lrt, states(up, up), []Load{{TTFB: 30 * ms}, {TTFB: ms, Failing: 0.5}}, nil, -1, 0, 0, ByMethod},
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
		{"all shunned: all are used", lrt, states(up, up), []Load{{Shunned: true, TTFB: ms}, {Shunned: true, TTFB: 50 * ms}}, nil, -1, 0, 0, ByMethodAll},
		{"all shunned: no reason to leave", lrt, states(up, up), []Load{{Shunned: true, TTFB: ms}, {Shunned: true, TTFB: 50 * ms}}, nil, 1, 0, 1, Persisted},
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
