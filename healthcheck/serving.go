package healthcheck

import "strings"

// Normal says whether the target works in mode normal. A target that says nothing of a mode
// counts as normal, and so does a balancer that names it among the modes of its pool (LB11).
func (l Load) Normal() bool {
	if l.Mode == "" || l.Mode == "normal" {
		return true
	}
	for mode := range strings.SplitSeq(l.Mode, ",") {
		if strings.TrimSpace(mode) == "normal" {
			return true
		}
	}
	return false
}

// The reasons of Serving. They are constants so that a decision on a hot path allocates nothing.
const (
	reasonUp         = "the members that are up serve"
	reasonNormal     = "the members that are up in mode normal serve, before those in other modes"
	reasonOverloaded = "none is up: the overloaded ones serve, by spare capacity"
	reasonUnknown    = "none is up or overloaded: those not yet known serve"
	reasonEjected    = "no other is left: those serve that are down only because their traffic fails"
	reasonNone       = "none can serve: all are down, draining or in maintenance"
	reasonEmpty      = "there are no members"
)

// Serving decides which of the states may take new work (HK4) and appends their indices to
// dst. It is pure and does not allocate when dst has room. The first row that is not empty:
//
//	up, mode normal        in the order given
//	up, any other mode     in the order given (DC7: only without a normal one)
//	overloaded             by spare capacity, largest first, unknown capacity last
//	unknown                in the order given
//	ejected                down only because the traffic fails (passive reports): when that holds
//	                       for all of them the cause is one they share, such as the database, and
//	                       leaving nobody would help nobody (HK4)
//
// Draining, maintenance and down otherwise never take new work.
func Serving(dst []int, states []Status) ([]int, string) {
	if len(states) == 0 {
		return dst, reasonEmpty
	}
	base := len(dst)
	if dst = appendIf(dst, states, isNormal); len(dst) > base {
		if len(dst)-base < count(states, isUp) {
			return dst, reasonNormal
		}
		return dst, reasonUp
	}
	if dst = appendIf(dst, states, isUp); len(dst) > base {
		return dst, reasonUp
	}
	if dst = appendIf(dst, states, isOverloaded); len(dst) > base {
		sortBySpare(dst[base:], states)
		return dst, reasonOverloaded
	}
	if dst = appendIf(dst, states, isUnknown); len(dst) > base {
		return dst, reasonUnknown
	}
	if dst = appendIf(dst, states, isEjected); len(dst) > base {
		return dst, reasonEjected
	}
	return dst, reasonNone
}

// The rows of Serving. They are functions without state, so passing them allocates nothing.

func isUp(s *Status) bool         { return s.State == Up }
func isNormal(s *Status) bool     { return s.State == Up && s.Load.Normal() }
func isOverloaded(s *Status) bool { return s.State == Overloaded }
func isUnknown(s *Status) bool    { return s.State == Unknown }
func isEjected(s *Status) bool    { return s.State == Down && s.Source == FromTraffic }

func appendIf(dst []int, states []Status, row func(*Status) bool) []int {
	for i := range states {
		if row(&states[i]) {
			dst = append(dst, i)
		}
	}
	return dst
}

func count(states []Status, row func(*Status) bool) (n int) {
	for i := range states {
		if row(&states[i]) {
			n++
		}
	}
	return n
}

// sortBySpare is an insertion sort: pools are small, and it is stable without allocating.
func sortBySpare(idx []int, states []Status) {
	for i := 1; i < len(idx); i++ {
		for j := i; j > 0 && states[idx[j]].Load.Spare() > states[idx[j-1]].Load.Spare(); j-- {
			idx[j], idx[j-1] = idx[j-1], idx[j]
		}
	}
}
