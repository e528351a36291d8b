package simulate

import (
	"strconv"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/lb/choice"
)

// ourRules are the methods of lb/choice, except the one that asks only who the client is: here all
// are alike.
func ourRules() []ruleMaker {
	var out []ruleMaker
	for _, method := range choice.Methods() {
		if method == choice.HashName {
			continue
		}
		out = append(out, ruleMaker{
			name: method, what: "lb_method of Switchpoint", ours: true,
			make: func(m members) rule { return newOurs(method, m) },
		})
	}
	return out
}

// ours asks lb/choice as lb does: one question for each request, averages in Stats.
type ours struct {
	stats []choice.Stats
	since []int64 // when a server came back; 0: it was always there
	q     choice.Question

	startup choice.Startup
}

func newOurs(method string, m members) rule {
	n := len(m.inFlight)
	r := &ours{stats: make([]choice.Stats, n), since: make([]int64, n)}
	r.q = choice.Question{
		Method: method, Weights: make([]int, n), States: make([]healthcheck.Status, n), Loads: make([]choice.Load, n),
		SlowStart: ourSlowStart, Persisted: -1, Scratch: make([]int, 0, n),
	}
	for i := range n {
		r.q.Weights[i] = 1
		r.q.Keys = append(r.q.Keys, choice.HashKey([]byte(strconv.Itoa(i))))
		r.q.States[i] = healthcheck.Status{State: healthcheck.Up, Load: healthcheck.Load{Active: -1, Capacity: -1}}
	}
	return r
}

func (r *ours) pick(now int64, class uint8) int {
	r.q.Class = choice.Class(class)
	r.q.Draw++
	for i := range r.stats {
		l := &r.q.Loads[i]
		*l = r.stats[i].Load(now, r.q.Class)
		l.NodeInFlight = l.InFlight
		if r.since[i] > 0 {
			l.Since = max(1, clock(now-r.since[i]))
		}
	}
	if r.q.Method == choice.NetScalerName {
		r.startup.Observe(&r.q, now)
		r.q.Startup = r.startup.Holds(r.q.Draw)
	}
	r.q.Hash = choice.HashKey(strconv.AppendUint(nil, r.q.Draw, 10)) // every request is a client's only one
	r.startup.Observe(&r.q, now)
	r.q.Startup = r.startup.Holds(r.q.Draw)
	server, _ := choice.Pick(&r.q)
	return server
}

func (r *ours) sent(now int64, server int) int32 {
	met := r.stats[server].InFlight()
	r.stats[server].Begin(now, r.q.Class, ourConnectTimeout)
	return int32(met) // #nosec G115 -- requests in flight
}

// ended does what lb's exchange does at an answer, and at a time-out.
func (r *ours) ended(now int64, server int, e end) {
	s, class := &r.stats[server], choice.Class(e.class)
	if e.status == 0 {
		s.TimedOut(now, clock(e.took), class)
	} else {
		s.Answered(now, clock(e.took), class, e.status)
	}
	s.End(now, class)
}

func (r *ours) health(now int64, server int, up bool) {
	if !up {
		r.q.States[server].State = healthcheck.Down
		return
	}
	r.q.States[server].State = healthcheck.Up
	r.since[server] = max(1, now)
}

// The defaults of a pool.
const (
	ourSlowStart      = 30 * time.Second
	ourConnectTimeout = time.Second
)
