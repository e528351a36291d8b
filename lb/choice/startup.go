package choice

import (
	"sync/atomic"
	"time"
)

const (
	// startupFirst is how many requests of a new pool go by round robin.
	startupFirst = 100
	// netScalerRefresh is how often the vendor takes its figures anew, rates and times alike.
	netScalerRefresh = 7 * time.Second
	// sameArrival is how far two readings of one arrival may lie apart.
	sameArrival = 100 * time.Millisecond
)

// Startup counts the start-up round robin of one pool under netscaler-least-response-time:
//
//	a new pool                                                    its first 100 requests
//	a member was added or came up, or the method changed          request rate x members bound,
//	                                                              those that are down included
//
// The rate is that of requests per second over the last whole 7 seconds (CTX108886). The zero
// value is a new pool. It takes no lock; of two requests that see the same change one counts.
type Startup struct {
	until   atomic.Uint64 // decisions up to this one go by round robin
	again   atomic.Bool   // Restart was called
	newest  atomic.Int64  // when the member that came last did so
	opened  atomic.Int64  // the window that the rate is counted in
	counted atomic.Uint64 // decisions before it
	rate    atomic.Uint64 // requests in the last window, per second
}

// Restart says that a member was added or the method changed: it begins again with the next
// decision.
func (s *Startup) Restart() { s.again.Store(true) }

// Observe notices what the decision of q, at now, shows: Loads and Draw are filled.
func (s *Startup) Observe(q *Question, now int64) {
	s.measure(q.Draw, now)
	newest := int64(0)
	for i := range q.Loads {
		if since := q.Loads[i].Since; since > 0 {
			newest = max(newest, now-int64(since))
		}
	}
	came := false
	if known := s.newest.Load(); newest-known > int64(sameArrival) {
		came = s.newest.CompareAndSwap(known, newest)
	}
	if s.again.Load() && s.again.CompareAndSwap(true, false) || came {
		turns := uint64(startupFirst)
		if rate := s.rate.Load(); rate > 0 {
			turns = rate * uint64(len(q.Loads))
		}
		s.until.Store(q.Draw + turns)
	}
}

// Holds says whether that decision goes by round robin.
func (s *Startup) Holds(draw uint64) bool { return draw <= max(startupFirst, s.until.Load()) }

// measure closes the window when it is over.
func (s *Startup) measure(draw uint64, now int64) {
	opened := s.opened.Load()
	age := now - opened
	if age < int64(netScalerRefresh) || !s.opened.CompareAndSwap(opened, now) {
		return
	}
	before := s.counted.Swap(draw)
	s.rate.Store(uint64(float64(draw-before) / (float64(age) / float64(time.Second))))
}
