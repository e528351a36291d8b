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
	var up, normal, overloaded, unknown, ejected int
	for i := range states {
		switch states[i].State {
		case Up:
			up++
			if states[i].Load.Normal() {
				normal++
			}
		case Overloaded:
			overloaded++
		case Unknown:
			unknown++
		case Down:
			if states[i].Source == FromTraffic {
				ejected++
			}
		}
	}
	switch {
	case normal > 0 && normal < up:
		for i := range states {
			if states[i].State == Up && states[i].Load.Normal() {
				dst = append(dst, i)
			}
		}
		return dst, reasonNormal
	case up > 0:
		return appendState(dst, states, Up), reasonUp
	case overloaded > 0:
		base := len(dst)
		dst = appendState(dst, states, Overloaded)
		sortBySpare(dst[base:], states)
		return dst, reasonOverloaded
	case unknown > 0:
		return appendState(dst, states, Unknown), reasonUnknown
	case ejected > 0:
		for i := range states {
			if states[i].State == Down && states[i].Source == FromTraffic {
				dst = append(dst, i)
			}
		}
		return dst, reasonEjected
	case len(states) == 0:
		return dst, reasonEmpty
	}
	return dst, reasonNone
}

func appendState(dst []int, states []Status, want State) []int {
	for i := range states {
		if states[i].State == want {
			dst = append(dst, i)
		}
	}
	return dst
}

// sortBySpare is an insertion sort: pools are small, and it is stable without allocating.
func sortBySpare(idx []int, states []Status) {
	for i := 1; i < len(idx); i++ {
		for j := i; j > 0 && states[idx[j]].Load.Spare() > states[idx[j-1]].Load.Spare(); j-- {
			idx[j], idx[j-1] = idx[j-1], idx[j]
		}
	}
}
