package healthcheck

import (
	"math/bits"
	"time"
)

// MaxSteady is the Steady of what no rule can change: a hold or an override without an end, a
// member without checks. Nobody needs to look further ahead than a day.
const MaxSteady = 24 * time.Hour

// steady says for how long the effective state of a check cannot change by its next results or
// by the clock. It is pure. By what decided the state:
//
//	an override             until it expires; MaxSteady when it does not
//	a maintenance window    until it closes
//	manual resume           MaxSteady: an operator ends it
//	a dependency, traffic, a state from before a restart    0: their end is not a matter of counting
//	the probes:
//	  up                    the failures that are still needed, less one, times the interval;
//	                        with down_after until that is over, if sooner
//	  down                  the successes that are still needed, less one, times the interval; until
//	                        time_until_up and flap_hold are over, if later; MaxSteady when held
//	  overloaded            as up or as down, what is sooner; overload_hold as flap_hold
//	  unknown, draining, maintenance    0: the next result decides
//
// No row goes beyond the moment at which a maintenance window of the monitor opens or closes, save
// that of the override, which stands above them.
func steady(r rule, j judged, f facts, by Source, now time.Time) time.Duration {
	var d time.Duration
	switch by {
	case FromOverride:
		if f.force.Expires.IsZero() {
			return MaxSteady
		}
		return min(r.ahead(j, f.force.Expires.Sub(now)), MaxSteady)
	case FromMaintenance, FromHold:
		d = MaxSteady
	case FromProbes:
		d = r.steady(j, now)
		if f.held && f.state == Down { // the rise would end in the hold
			d = MaxSteady
		}
	default:
		return 0
	}
	if !f.turns.IsZero() {
		d = min(d, r.ahead(j, f.turns.Sub(now)))
	}
	return d
}

// steady is the part of it that the probes decide.
func (r rule) steady(j judged, now time.Time) time.Duration {
	switch j.state {
	case Up:
		return r.untilDown(j, now)
	case Down:
		return r.untilRisen(j, now)
	case Overloaded:
		return min(r.untilDown(j, now), r.untilRisen(j, now))
	}
	return 0
}

// untilDown is the earliest that any of the rules of suffices can put the check down.
func (r rule) untilDown(j judged, now time.Time) time.Duration {
	d := MaxSteady
	if r.fall > 0 {
		have := j.fails
		if r.of > 0 { // the next result pushes the oldest one out of the window
			have = bits.OnesCount64(j.window & (1<<(r.of-1) - 1))
		}
		d = min(d, r.apart(j, r.fall-have))
	}
	if r.downAfter > 0 {
		d = min(d, r.ahead(j, r.downAfter-now.Sub(j.alive)))
	}
	return d
}

// untilRisen is the earliest that successes can make the check up.
func (r rule) untilRisen(j judged, now time.Time) time.Duration {
	d := r.apart(j, r.rise-j.oks)
	held := time.Duration(0)
	switch {
	case j.state == Overloaded:
		held = r.overloadHold(j.ills.overs) - now.Sub(j.ills.busy)
	case r.flapLimit > 0 && len(j.ills.falls) >= r.flapLimit:
		held = r.flapHold - now.Sub(j.ills.bad)
	}
	d = max(d, r.ahead(j, held))
	if j.state != Down || r.untilUp == 0 {
		return d
	}
	if j.oks == 0 { // it begins with a success that is still to come
		return max(d, r.untilUp)
	}
	return max(d, r.ahead(j, r.untilUp-now.Sub(j.ills.rising)))
}

// apart is the least time that n more results take, the first of which may come at once. After
// that one the check is probed at its transition interval, whose turns are others when it is not
// the interval of before: then the second may come at once too.
func (r rule) apart(j judged, n int) time.Duration {
	step, usual := r.transition, r.interval
	if j.state == Down {
		usual = r.intervalDown
	}
	if step != usual && !j.pending() {
		n--
	}
	if r.of > 0 && j.state != Down { // the failures may have successes between them
		step = min(step, usual)
	}
	return min(time.Duration(max(0, n-1))*step, MaxSteady)
}

// ahead is how much of a time that runs out by the clock can be relied on until it is worked out
// again and published, which the next result does.
func (r rule) ahead(j judged, d time.Duration) time.Duration {
	next := r.interval
	switch {
	case j.pending():
		next = r.transition
	case j.state == Down:
		next = r.intervalDown
	}
	return max(0, d-next-gapLazily-gapCostMax)
}
