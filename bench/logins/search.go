package logins

import (
	"fmt"
	"math"
)

// Bounds of the search for the highest rate.
const (
	searchStart  = 200  // logins/s
	searchGrowth = 1.6  // from one step to the next, while all goes well
	searchClose  = 1.06 // the highest that went well and the lowest that did not are so close
	maxProbes    = 14
	// probeP99 is the latency above which a queue has built up in a short run.
	probeP99 = 400 // ms
	// holdP99 is the same for the long run, in which a machine may also have a bad moment.
	holdP99 = 1000
	// holdPart of the rate that the search ends at is what the long run begins with.
	holdPart = 0.95
	holdLess = 0.92 // for each try that did not hold
	maxHolds = 5
)

// search finds the highest rate that can be sustained: larger steps up until one fails, then the
// middle between the best and the worst, again and again.
type search struct {
	low, high float64 // sustained, and not; 0: none yet
	next      float64
	probes    int
}

func newSearch(start float64) *search { return &search{next: start} }

// tell takes what became of the rate next, and says whether there is another one to try.
func (s *search) tell(sustained bool) bool {
	s.probes++
	if sustained {
		s.low = s.next
	} else {
		s.high = s.next
	}
	switch {
	case s.probes >= maxProbes || s.low > 0 && s.high > 0 && s.high/s.low <= searchClose:
		return false
	case s.high == 0:
		s.next = s.low * searchGrowth
	case s.low == 0:
		s.next = s.high / searchGrowth / searchGrowth
	default:
		s.next = math.Sqrt(s.low * s.high)
	}
	return s.next >= 1
}

// sustained says why a run shows that its rate cannot go on, or "".
func sustained(r *Result, limit float64) string {
	switch {
	case r.Failed > 0:
		return fmt.Sprintf("%d of %d failed", r.Failed, r.Offered)
	case r.Busy > 0:
		return fmt.Sprintf("%d of %d were refused as busy", r.Busy, r.Offered)
	case r.Waited > 0:
		return fmt.Sprintf("%d of %d had to wait", r.Waited, r.Offered)
	case r.OK == 0:
		return "there was none"
	case r.Login.P99 > limit:
		return fmt.Sprintf("p99 is %.0f ms", r.Login.P99)
	}
	return ""
}
