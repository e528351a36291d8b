package choice

import (
	"slices"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/healthcheck/isalive"
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
	// States are the members' health with what operators say of them (drain, disable), and what part
	// of its weight each asks for.
	States []healthcheck.Status
	Loads  []Load
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
	// Hash stands for the client, and Keys for the members, for the method "hash" (HashKey).
	Hash uint64
	Keys []uint64
	// Startup is true while the start-up round robin holds, for the method
	// "netscaler-least-response-time" (Startup.Holds).
	Startup bool
	// Draw is the number of this decision, counted per pool: it rotates round-robin and ties.
	Draw uint64
	// Scratch is room for candidates, so that a decision allocates nothing.
	Scratch []int
}

// How says by which rule Pick chose.
type How uint8

// The rules.
const (
	NoneServing       How = iota // no member may serve
	AllTried                     // every serving member already failed for this request
	AllFull                      // every member that may be used has as many requests as it may have
	BoundFull                    // so has the one that this client's session lives at
	Persisted                    // the member that this client had before
	PersistedDraining            // so, although it drains: its clients may stay
	ByMethod                     // the pool's method
	ByMethodAll                  // the method, over shunned members too: there are no others
	ByMethodPanic                // so, since there are too few others
	Pinned                       // not Pick's: the client has a connection of its own there
)

// String gives the rule in words.
func (h How) String() string {
	switch h {
	case AllTried:
		return "every serving member failed for this request"
	case AllFull:
		return "every member has as many requests as it may have"
	case BoundFull:
		return "the member that this client's session lives at has as many requests as it may have"
	case PersistedDraining:
		return "persistence: this client had it before, and may stay while it drains"
	case Persisted:
		return "persistence: this client had it before"
	case ByMethod:
		return "by the pool's method"
	case ByMethodAll:
		return "by the pool's method, although connects to it failed lately: so they did for all that serve"
	case ByMethodPanic:
		return "by the pool's method, over all that serve: connects to most of them failed lately (panic_threshold)"
	case Pinned:
		return "the client's authentication holds for one connection only, which leads there"
	default:
		return "no member may serve"
	}
}

// Full says whether the request has to wait for a place.
func (h How) Full() bool { return h == AllFull || h == BoundFull }

// Reason is why Pick answered as it did.
type Reason struct {
	How How
	// Serving is the word on who may serve (Question.Serving).
	Serving string
}

// Pick chooses the member for one request, or -1. It never chooses one that Question.Serving
// leaves out (HK4), but for a client that may stay at its member. It is pure: same question, same
// answer.
func Pick(q *Question) (int, Reason) {
	among, why := q.Serving(q.Scratch[:0])
	r := Reason{Serving: why}
	panics := q.panics(among)
	if how, bound := q.stays(among, q.unshunned(among) > 0 && !panics); bound {
		r.How = how
		if how == BoundFull {
			return -1, r
		}
		return q.Persisted, r
	}
	if len(among) == 0 {
		r.How = NoneServing
		return -1, r
	}
	if among = keep(among, func(i int) bool { return !q.Loads[i].Tried }); len(among) == 0 {
		r.How = AllTried
		return -1, r
	}
	switch {
	case panics:
		r.How = ByMethodPanic
	case q.unshunned(among) == 0:
		r.How = ByMethodAll
	default:
		r.How = ByMethod
		among = keep(among, func(i int) bool { return !q.Loads[i].Shunned })
	}
	if among = keep(among, func(i int) bool { return !q.Loads[i].Full }); len(among) == 0 {
		r.How = AllFull
		return -1, r
	}
	if among = q.group(among); len(among) == 1 {
		return among[0], r
	}
	return methods[q.Method](q, among), r
}

// stays says whether the client stays at the member that it had, and by which rule: where that
// one serves or drains, and a session also where it is up or overloaded while others would serve
// new clients, unless it says that it steps aside: it refuses what others can do for the session (DC7).
// A shunned one is left if there are others (avoid), and one without a place by
// whoever loses nothing by it; a session waits for its own member.
func (q *Question) stays(serving []int, avoid bool) (How, bool) {
	i := q.Persisted
	if i < 0 {
		return 0, false
	}
	l, how := &q.Loads[i], Persisted
	switch q.States[i].State {
	case healthcheck.Draining:
		how = PersistedDraining
	case healthcheck.Up, healthcheck.Overloaded:
		if (q.Bond != Firm || isalive.StepsAside(q.States[i].Load.Mode)) && !slices.Contains(serving, i) {
			return 0, false
		}
	default:
		if !slices.Contains(serving, i) {
			return 0, false
		}
	}
	switch {
	case l.Tried, l.Shunned && avoid, l.Full && q.Bond != Firm:
		return 0, false
	case l.Full:
		return BoundFull, true
	}
	return how, true
}

// group leaves those of the highest priority, and of the next ones while they are fewer than
// MinActive. All that are given can be used.
func (q *Question) group(among []int) []int {
	if q.Priorities == nil || len(among) < 2 {
		return among
	}
	level := q.Priorities[among[0]]
	for _, i := range among[1:] {
		level = max(level, q.Priorities[i])
	}
	for {
		n, next, more := 0, 0, false
		for _, i := range among {
			switch p := q.Priorities[i]; {
			case p >= level:
				n++
			case !more || p > next:
				next, more = p, true
			}
		}
		if n >= q.MinActive || !more {
			return keep(among, func(i int) bool { return q.Priorities[i] >= level })
		}
		level = next
	}
}

// panics says whether so few are unshunned that all are used.
func (q *Question) panics(among []int) bool {
	n := q.unshunned(among)
	return n > 0 && n*100 < len(among)*q.PanicPercent
}

func (q *Question) unshunned(among []int) (n int) {
	for _, i := range among {
		if !q.Loads[i].Shunned {
			n++
		}
	}
	return n
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
