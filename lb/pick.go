package lb

import (
	"time"

	"switchpoint/healthcheck"
)

// Load is what the balancer itself knows of a member at the moment of a decision.
type Load struct {
	// InFlight counts requests sent and not yet answered to the end.
	InFlight int64
	// TTFB is the moving average from request written to first byte; 0 means no sample yet.
	TTFB time.Duration
	// Idle is the time since the member was last picked or measured.
	Idle time.Duration
	// Penalty is what is left of recent failures, as time added to TTFB.
	Penalty time.Duration
	// Shunned is true while recent connects failed: others are preferred whatever their cost.
	Shunned bool
	// Tried is true when this very request already failed there.
	Tried bool
}

// Question is all that Pick needs to know. The slices run over the members of the pool.
type Question struct {
	Method  string // lb_method
	Weights []int
	States  []healthcheck.Status
	Loads   []Load
	// Persisted is the member that this client had before, -1 for none.
	Persisted int
	// Draw is the number of this decision, counted per pool: it rotates round-robin and ties.
	Draw uint64
	// Scratch is room for candidates, so that a decision allocates nothing.
	Scratch []int
}

// How says by which rule Pick chose.
type How uint8

// The rules, in the order in which Pick applies them.
const (
	NoneServing How = iota // no member may serve
	AllTried               // every serving member already failed for this request
	Persisted              // the member that this client had before
	ByMethod               // the pool's method
	ByMethodAll            // the method, over shunned members too: there are no others
	Pinned                 // not Pick's: the client has a connection of its own there
)

// String gives the rule in words.
func (h How) String() string {
	switch h {
	case AllTried:
		return "every serving member failed for this request"
	case Persisted:
		return "persistence: this client had it before"
	case ByMethod:
		return "by the pool's method"
	case ByMethodAll:
		return "by the pool's method, although connects to it failed lately: so they did for all that serve"
	case Pinned:
		return "the client's authentication holds for one connection only, which leads there"
	default:
		return "no member may serve"
	}
}

// Reason is why Pick answered as it did.
type Reason struct {
	How How
	// Serving is healthcheck's word on who may serve.
	Serving string
	// Candidates is the number of members that the method chose among.
	Candidates int
}

// Policy chooses one of the members named in among, which is never empty.
type Policy func(q *Question, among []int) int

// policies are the methods by their configuration names (LB2). It is never written to.
var policies = map[string]Policy{
	"least-response-time": LeastResponseTime,
	"round-robin":         RoundRobin,
}

// Pick chooses the member for one request, or -1. It never chooses one that healthcheck.Serving
// leaves out (HK4). It is pure: same question, same answer.
func Pick(q *Question) (int, Reason) {
	among, why := healthcheck.Serving(q.Scratch[:0], q.States)
	r := Reason{How: NoneServing, Serving: why}
	if len(among) == 0 {
		return -1, r
	}
	among = keep(among, func(i int) bool { return !q.Loads[i].Tried })
	if len(among) == 0 {
		r.How = AllTried
		return -1, r
	}
	fresh := 0
	for _, i := range among {
		if !q.Loads[i].Shunned {
			fresh++
			if i == q.Persisted {
				r.How, r.Candidates = Persisted, 1
				return i, r
			}
		}
	}
	r.How = ByMethodAll
	if fresh > 0 {
		r.How = ByMethod
		among = keep(among, func(i int) bool { return !q.Loads[i].Shunned })
	}
	r.Candidates = len(among)
	if len(among) == 1 {
		return among[0], r
	}
	return policies[q.Method](q, among), r
}

// keep filters in place.
func keep(s []int, ok func(int) bool) []int {
	n := 0
	for _, v := range s {
		if ok(v) {
			s[n] = v
			n++
		}
	}
	return s[:n]
}
