package choice

import (
	"maps"
	"slices"
	"time"

	"switchpoint/healthcheck"
)

// Bond is how firmly a client belongs to the member that it had before.
type Bond uint8

// The bonds. A loose one is a source address: nothing is lost when the client goes elsewhere. A
// firm one is a session that lives at the member: a cookie, a token.
const (
	Loose Bond = iota
	Firm
)

// Question is all that Pick needs to know. The slices run over the members of the pool.
type Question struct {
	Method  string // lb_method
	Class   Class  // of the request; the loads are of this class
	Weights []int
	States  []healthcheck.Status
	Loads   []Load
	// Priorities are the members' groups, the highest first; nil: all are equal. A lower group
	// joins when fewer than MinActive members of those above it can be used.
	Priorities []int
	MinActive  int
	// SlowStart is how long a member's share grows after it came back; 0: not at all.
	SlowStart time.Duration
	// PanicPercent: with fewer than that share of the serving members unshunned, all are used.
	PanicPercent int
	// Persisted is the member that this client had before, -1 for none, and Bond how firmly.
	Persisted int
	Bond      Bond
	// Hash stands for the client, for the method "hash".
	Hash uint64
	// Draw is the number of this decision, counted per pool: it rotates round-robin and ties.
	Draw uint64
	// Scratch is room for candidates, so that a decision allocates nothing.
	Scratch []int
}

// How says by which rule Pick chose.
type How uint8

// The rules, in the order in which Pick applies them.
const (
	NoneServing       How = iota // no member may serve
	AllTried                     // every serving member already failed for this request
	AllFull                      // every member that may be used has as many requests as it may have
	Persisted                    // the member that this client had before
	PersistedDraining            // so, although it drains: its clients may stay
	ByMethod                     // the pool's method
	ByMethodAll                  // the method, over shunned members too: there are no others
	Pinned                       // not Pick's: the client has a connection of its own there
)

// String gives the rule in words.
func (h How) String() string {
	switch h {
	case AllTried:
		return "every serving member failed for this request"
	case AllFull:
		return "every member has as many requests as it may have"
	case PersistedDraining:
		return "persistence: this client had it before, and may stay while it drains"
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

// The methods' names in a configuration (LB2).
const (
	LeastResponseTimeName = "least-response-time"
	RoundRobinName        = "round-robin"
)

// methods are the methods by their configuration names (LB2). It is never written to.
var methods = map[string]Policy{
	LeastResponseTimeName: LeastResponseTime,
	RoundRobinName:        RoundRobin,
}

// Methods are the names of all methods, sorted.
func Methods() []string { return slices.Sorted(maps.Keys(methods)) }

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
	return methods[q.Method](q, among), r
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
