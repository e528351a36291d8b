package healthcheck

import "switchpoint/healthcheck/isalive"

// The reasons of Serving and Widened. They are constants so that a decision on a hot path allocates
// nothing.
const (
	reasonUp         = "the members that are up serve"
	reasonNormal     = "the members that are up in mode normal serve, before those in other modes"
	reasonTooMuch    = "the members that are up serve, in any mode: those in mode normal cannot carry the work of all"
	reasonWidened    = "the members that are up serve, in any mode: none in mode normal can take more now"
	reasonOverloaded = "none is up: the overloaded ones serve, by spare capacity"
	reasonUnknown    = "none is up or overloaded: those not yet known serve"
	reasonEjected    = "no other is left: those serve that are down only because their traffic fails"
	reasonNone       = "none can serve: all are down, draining or in maintenance"
	reasonEmpty      = "there are no members"
)

// Serving decides which of the states may take new work (HK4, DC7) and appends their indices to
// dst. It is pure and does not allocate when dst has room. The first row that is not empty:
//
//	up, no other mode      in the order given; this row is passed over unless one of them says
//	than normal            that it is in mode normal, and while those that do cannot carry the
//	                       work of all (carries)
//	up, any mode           in the order given
//	overloaded             by spare capacity, largest first, unknown capacity last; those that
//	                       step aside (mode draining, stopped) only if all do: they refuse work
//	unknown                in the order given
//	ejected                down only because the traffic fails (passive reports): when that holds
//	                       for all of them the cause is one they share, such as the database, and
//	                       leaving nobody would help nobody (HK4)
//
// Draining, maintenance and down otherwise never take new work. Who says no mode comes neither before
// nor after the others: it may be a target that was not asked since a restart. The mode is the target's own word and
// only orders those that are up: no lie about it empties a pool, and in an outage of all of them all
// serve alike.
func Serving(dst []int, states []Status) ([]int, string) {
	if len(states) == 0 {
		return dst, reasonEmpty
	}
	base := len(dst)
	dst = appendIf(dst, states, isUp)
	if len(dst) > base {
		switch {
		case count(states, isAbnormal) == 0 || count(states, isNormal) == 0:
			return dst, reasonUp
		case !carries(states):
			return dst, reasonTooMuch
		}
		return appendIf(dst[:base], states, isPreferred), reasonNormal
	}
	if dst = appendIf(dst, states, isOverloaded); len(dst) == base {
		dst = appendIf(dst, states, isAside)
	}
	if len(dst) > base {
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

// Widened appends to dst the members that serve when none of those that Serving names can take
// more work now, as whoever sends the work may know better than the newest probe: all that are up,
// whatever their mode.
func Widened(dst []int, states []Status) ([]int, string) {
	return appendIf(dst, states, isUp), reasonWidened
}

// carries says whether the members that are up in mode normal have room for all the work that is in
// progress at any member, as all of them say it: Active over all < Capacity over these. That sum
// does not depend on who has the work, so that no member comes and goes as its work is moved. A
// member of mode normal that does not say its capacity has room for all.
func carries(states []Status) bool {
	var work, room int64
	for i := range states {
		s := &states[i]
		if s.State != Up && s.State != Overloaded {
			continue
		}
		work += int64(max(0, s.Load.Active))
		switch {
		case !isNormal(s):
		case s.Load.Capacity < 0:
			return true
		default:
			room += int64(s.Load.Capacity)
		}
	}
	return work < room
}

// The rows of Serving. They are functions without state, so passing them allocates nothing.

func isUp(s *Status) bool         { return s.State == Up }
func isNormal(s *Status) bool     { return s.State == Up && s.Load.Normal() }
func isAbnormal(s *Status) bool   { return s.State == Up && s.Load.Abnormal() }
func isPreferred(s *Status) bool  { return s.State == Up && !s.Load.Abnormal() }
func isOverloaded(s *Status) bool { return s.State == Overloaded && !isalive.StepsAside(s.Load.Mode) }
func isAside(s *Status) bool      { return s.State == Overloaded && isalive.StepsAside(s.Load.Mode) }
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
