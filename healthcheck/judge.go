package healthcheck

import (
	"cmp"
	"fmt"
	"math/bits"
	"strconv"
	"time"
)

// rule is how results become a state, compiled from a Monitor.
type rule struct {
	fall, rise int
	of         int // fall counts within the last so many results; 0: in a row
	downAfter  time.Duration
	untilUp    time.Duration
	interval   time.Duration

	transition, intervalDown time.Duration // the interval while a change is pending, and while down

	overHold   time.Duration
	flapLimit  int
	flapWindow time.Duration
	flapHold   time.Duration
}

func newRule(m Monitor) rule {
	return rule{
		fall: m.Fall, rise: m.Rise, of: m.FallOf, downAfter: m.DownAfter, untilUp: m.TimeUntilUp,
		interval: m.Interval, transition: cmp.Or(m.IntervalTransition, m.Interval), intervalDown: cmp.Or(m.IntervalDown, m.Interval),
		overHold:  m.OverloadHold,
		flapLimit: m.FlapLimit, flapWindow: m.FlapWindow, flapHold: m.FlapHold,
	}
}

// judged is the state of one check with what judging must remember of it. fails and oks count
// the newest unbroken run of failures or successes; at most one of them is not zero.
type judged struct {
	state  State
	reason string
	since  time.Time
	fails  int
	oks    int

	window uint64    // the newest results, newest in bit 0, failures set (fall_of)
	alive  time.Time // the newest result that was no failure (down_after)
	ills   *ills     // nil for a check that never had any; replaced, never changed
}

// ills is what judging remembers of a check that failed or was overloaded: most never are.
type ills struct {
	bad    time.Time   // the newest failure (flap_hold)
	rising time.Time   // the first success after it (time_until_up)
	busy   time.Time   // the newest 503
	overs  int         // how often it came back to 503 soon after it was up (overload_hold)
	falls  []time.Time // the falls within flap_window
}

// past gives the ills of j to be changed: a copy.
func (j judged) past() *ills {
	next := ills{}
	if j.ills != nil {
		next = *j.ills
	}
	return &next
}

// judge gives the next state of a check after a result that ended at now. It is pure. A draining
// or maintenance result, like a 503, is the target's own word and counts at once.
//
//	state             result        next
//	unknown           any           what the result says, at once
//	any               overl., drain., maint.   that, at once
//	up                up            up
//	all but down      down          down when the failures suffice: fall, fall_of or down_after
//	all but up        up            up after rise successes in a row that last time_until_up (from
//	                                down), after overload_hold (from overloaded), and when falling
//	                                too often is not damped (from down)
//	down              down          down
//
// The reason is that of the newest result; while a change is pending it says how far it is.
func judge(r rule, j judged, res Result, now time.Time) judged {
	next := j
	next.reason = res.Reason
	switch res.State {
	case Overloaded, Draining, Maintenance:
		return next.said(r, res.State, now)
	case Up:
		return next.succeeded(r, res.Reason, now)
	default:
		return next.failed(r, res.Reason, now)
	}
}

// said takes the target's own word.
func (j judged) said(r rule, s State, now time.Time) judged {
	if s == Overloaded {
		i := j.past()
		if j.state == Up {
			i.overs++
			if now.Sub(j.since) > r.overHold || i.busy.IsZero() {
				i.overs = 0
			}
		}
		i.busy = now
		j.ills = i
	}
	j.fails, j.oks, j.alive, j.window = 0, 0, now, j.window<<1
	return j.enter(s, now)
}

func (j judged) succeeded(r rule, reason string, now time.Time) judged {
	first := j.oks == 0
	j.fails, j.oks, j.alive, j.window = 0, min(j.oks+1, r.rise), now, j.window<<1
	if j.state == Up || j.state == Unknown {
		return j.enter(Up, now)
	}
	if first {
		j.ills = j.past()
		j.ills.rising = now
	}
	if j.oks < r.rise {
		j.reason = progress(j.oks, r.rise, "successes in a row", reason)
		return j
	}
	if wait := j.heldBack(r, now); wait != "" {
		j.reason = wait + ": " + reason
		return j
	}
	if j.state == Down && r.flapLimit > 0 && len(j.ills.falls) >= r.flapLimit {
		j.ills = j.past()
		j.ills.falls = nil // it served its time
	}
	j.window = 0
	return j.enter(Up, now)
}

// heldBack says why enough successes do not make the check up yet.
func (j judged) heldBack(r rule, now time.Time) string {
	i := j.ills
	switch {
	case j.state == Down && now.Sub(i.rising) < r.untilUp:
		return fmt.Sprintf("succeeds since %s of %s", short(now.Sub(i.rising)), short(r.untilUp))
	case j.state == Down && r.flapLimit > 0 && len(i.falls) >= r.flapLimit && now.Sub(i.bad) < r.flapHold:
		return fmt.Sprintf("damped after %d falls within %s, %s of %s without a failure",
			len(i.falls), short(r.flapWindow), short(now.Sub(i.bad)), short(r.flapHold))
	case j.state == Overloaded && now.Sub(i.busy) < r.overloadHold(i.overs):
		return fmt.Sprintf("overloaded again too soon, held for %s since the last 503", short(r.overloadHold(i.overs)))
	}
	return ""
}

// overloadHold doubles from two intervals up to its bound; the first overload is not held.
func (r rule) overloadHold(overs int) time.Duration {
	if overs == 0 {
		return 0
	}
	return min(r.interval<<min(overs, 20), r.overHold)
}

func (j judged) failed(r rule, reason string, now time.Time) judged {
	j.oks, j.fails, j.window = 0, j.fails+1, j.window<<1|1
	j.ills = j.past()
	j.ills.bad = now
	if r.fall > 0 {
		j.fails = min(j.fails, r.fall)
	}
	if j.state == Down || j.state == Unknown {
		return j.enter(Down, now)
	}
	enough, how := j.suffices(r, now)
	if !enough {
		j.reason = how + ": " + reason
		return j
	}
	if r.flapLimit > 0 {
		j.ills.falls = recentFalls(j.ills.falls, now, r)
	}
	return j.enter(Down, now)
}

// suffices says whether the failures bring the check down, and how far they are.
func (j judged) suffices(r rule, now time.Time) (bool, string) {
	how := ""
	if r.fall > 0 {
		have, what := j.fails, "failures in a row"
		if r.of > 0 {
			have = bits.OnesCount64(j.window & (1<<r.of - 1))
			what = "failures in the last " + strconv.Itoa(r.of)
		}
		if have >= r.fall {
			return true, ""
		}
		how = strconv.Itoa(have) + " of " + strconv.Itoa(r.fall) + " " + what
	}
	if r.downAfter > 0 {
		if silent := now.Sub(j.alive); silent >= r.downAfter {
			return true, ""
		} else if how == "" {
			how = fmt.Sprintf("no success for %s of %s", short(silent), short(r.downAfter))
		}
	}
	return false, how
}

// recentFalls adds now and leaves out the falls before the window.
func recentFalls(falls []time.Time, now time.Time, r rule) []time.Time {
	next := make([]time.Time, 0, len(falls)+1)
	for _, f := range falls {
		if now.Sub(f) < r.flapWindow {
			next = append(next, f)
		}
	}
	next = append(next, now)
	return next[max(0, len(next)-r.flapLimit):]
}

// enter moves to s; a move to the state that already holds keeps the moment it began.
func (j judged) enter(s State, now time.Time) judged {
	if j.state != s {
		j.state, j.since = s, now
	}
	return j
}

// pending says that the newest results differ from the state, or that there is none yet.
func (j judged) pending() bool {
	return j.state == Unknown || j.state != Down && j.fails > 0 || j.state != Up && j.oks > 0
}

// pace is how long a check waits between its probes now.
func pace(m Monitor, j judged) time.Duration {
	switch {
	case j.pending() && m.IntervalTransition > 0:
		return m.IntervalTransition
	case j.state == Down && m.IntervalDown > 0:
		return m.IntervalDown
	}
	return m.Interval
}

func progress(have, need int, what, reason string) string {
	return strconv.Itoa(have) + " of " + strconv.Itoa(need) + " " + what + ": " + reason
}

// short writes a duration without digits that nobody reads.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond / 10).String()
	}
	return d.Round(time.Microsecond).String()
}
