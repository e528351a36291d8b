package healthcheck

import (
	"time"

	"switchpoint/healthcheck/isalive"
)

// State is what is known of a check or of a member. The zero value is Unknown.
type State uint8

// The states, from design section 5. Only Up and Overloaded come from probes alone; Draining
// and Maintenance are said by an operator or by the target itself.
const (
	Unknown State = iota
	Up
	Overloaded
	Down
	Draining
	Maintenance
)

// String gives the word that config, metrics, logs and pages use.
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Overloaded:
		return "overloaded"
	case Down:
		return "down"
	case Draining:
		return "draining"
	case Maintenance:
		return "maintenance"
	default:
		return "unknown"
	}
}

// Load is what a target says of itself in its probe answer (AL5).
type Load struct {
	// Active is the number of logins (or sessions) in work; -1 when the target did not say.
	Active int
	// Capacity is how many it can carry at once; -1 when the target did not say.
	Capacity int
	// Mode is the broker's mode (normal, hostcache, ...), of a balancer the modes of its pool with
	// commas; empty when the target did not say.
	Mode string
	// Weight is how much of its usual share of work it asks for, in percent, as an agent says
	// it; 0 when the target did not say.
	Weight int
}

// NoLoad is the load of a target that says nothing of it.
var noLoad = Load{Active: -1, Capacity: -1}

// Spare is the room that is left: Capacity - Active, never below zero; -1 when unknown.
func (l Load) Spare() int {
	if l.Capacity < 0 || l.Active < 0 {
		return -1
	}
	return max(0, l.Capacity-l.Active)
}

// Normal says whether the target says that it works in mode normal (isalive.Normal).
func (l Load) Normal() bool { return isalive.Normal(l.Mode) }

// Abnormal says whether the target says that it works in another mode (isalive.Abnormal).
func (l Load) Abnormal() bool { return isalive.Abnormal(l.Mode) }

// Status is the judged state of one check with the facts behind it. It is a value: copying it
// is safe and it never changes.
type Status struct {
	State  State
	Source Source        // which of the facts decided State
	Reason string        // why, in words a person reads: "connection refused", "200 but body was ..."
	Since  time.Time     // when State was entered
	At     time.Time     // when the newest probe behind it ended
	TTFB   time.Duration // request written -> first byte of the newest successful probe; 0 unknown
	Load   Load
	// ModeSince is when the target came to say Load.Mode; zero: it says none, or that is not known.
	ModeSince time.Time
	// Steady is a lower bound of how long State cannot change by the probes: the results that are
	// still needed for it, less one because the next may come at once, at the interval between
	// them. At most MaxSteady; 0 when the next result decides. It is what a DNS answer that rests
	// on State may be kept for. Passive ejection, a 503, the target's own word, a dependency and
	// an operator may always change State sooner. And as results are counted, not timed, so may a
	// failure that was long awaited: by the time-out, or by half an interval when another check of
	// the address fails first.
	Steady time.Duration
}
