package healthcheck

import (
	"strconv"
	"time"
)

// rule is how results become a state.
type rule struct {
	fall int // failures in a row until down
	rise int // successes in a row until up
}

// judged is the state of one check with what judging must remember of it. fails and oks count
// the newest unbroken run of failures or successes; at most one of them is not zero.
type judged struct {
	state  State
	reason string
	since  time.Time
	fails  int
	oks    int
}

// judge gives the next state of a check after a result that ended at now. It is pure.
//
//	state       result      next
//	unknown     any         what the result says, at once
//	any         overloaded  overloaded, at once (a 503 is the target's own word)
//	up          up          up
//	up, overl.  down        down after fall failures in a row
//	overl.,down up          up after rise successes in a row
//	down        down        down
//
// The reason is that of the newest result; while a change is pending it says how far it is.
func judge(r rule, j judged, res Result, now time.Time) judged {
	next := j
	next.reason = res.Reason
	switch res.State {
	case Overloaded:
		next.fails, next.oks = 0, 0
		return next.enter(Overloaded, now)
	case Up:
		next.fails, next.oks = 0, min(j.oks+1, r.rise)
		if j.state == Up || j.state == Unknown || next.oks >= r.rise {
			return next.enter(Up, now)
		}
		next.reason = progress(next.oks, r.rise, "successes", res.Reason)
	default:
		next.fails, next.oks = min(j.fails+1, r.fall), 0
		if j.state == Down || j.state == Unknown || next.fails >= r.fall {
			return next.enter(Down, now)
		}
		next.reason = progress(next.fails, r.fall, "failures", res.Reason)
	}
	return next
}

// enter moves to s; a move to the state that already holds keeps the moment it began.
func (j judged) enter(s State, now time.Time) judged {
	if j.state != s {
		j.state, j.since = s, now
	}
	return j
}

func progress(have, need int, what, reason string) string {
	return strconv.Itoa(have) + " of " + strconv.Itoa(need) + " " + what + " in a row: " + reason
}
