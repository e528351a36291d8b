package healthcheck

import "time"

// Source says which of the facts about a check decided its effective state.
type Source uint8

// The sources, the weakest first.
const (
	FromProbes      Source = iota // the judged probes
	FromRestart                   // persisted before a restart, until the first result
	FromTraffic                   // passive reports: requests to the target fail
	FromDependency                // the check that it depends on is down
	FromHold                      // manual resume: it fell down and nobody released it
	FromMaintenance               // a maintenance window is open
	FromOverride                  // an operator's word
)

// String gives the words that logs and pages use.
func (s Source) String() string {
	return [...]string{"probes", "before the restart", "traffic", "dependency", "manual resume", "maintenance window", "override"}[s]
}

// facts is all that decides the effective state of one check.
type facts struct {
	state   State     // judged from probes
	reason  string    // of it
	before  State     // persisted before a restart; Unknown: nothing
	earlier string    // its reason
	ejected string    // why traffic put the target down; empty: it did not
	parent  string    // the check that it depends on and that is down; empty: none
	held    bool      // manual resume
	window  string    // the open maintenance window
	turns   time.Time // when a maintenance window opens or closes next; zero: there are none
	force   *Override
}

// verdict is an effective state with its reason and source.
type verdict struct {
	state  State
	reason string
	source Source
}

// effective folds the facts into one state. It is pure. The first row that applies:
//
//	an override                                   its state
//	an open maintenance window                    maintenance
//	held by manual resume                         down
//	the check that this one depends on is down    down
//	the probes say down                           down
//	the traffic fails                             down
//	no result yet, but a state from before        that, marked stale
//	otherwise                                     what the probes say
//
// A dependency comes before the probes because what they saw through a dead parent says nothing.
func effective(f facts) verdict {
	switch {
	case f.force != nil:
		return verdict{f.force.State, f.force.said(), FromOverride}
	case f.window != "":
		return verdict{Maintenance, "maintenance window " + f.window, FromMaintenance}
	case f.held && f.state != Down:
		return verdict{Down, "it fell down and waits for an operator to release it (manual_resume); now: " + f.reason, FromHold}
	case f.parent != "":
		return verdict{Down, "depends on " + f.parent + ", which is down", FromDependency}
	case f.state == Down:
		return verdict{Down, f.reason, FromProbes}
	case f.ejected != "":
		return verdict{Down, f.ejected, FromTraffic}
	case f.state == Unknown && f.before != Unknown:
		return verdict{f.before, "stale, from before the restart: " + f.earlier, FromRestart}
	}
	return verdict{f.state, f.reason, FromProbes}
}

// factsOf collects what is known of c. e.mu is held.
func (e *Engine) factsOf(c *check) facts {
	f := facts{state: c.j.state, reason: c.j.reason, held: c.held, force: c.force}
	if c.mon != nil {
		o := e.open[c.key.Monitor]
		f.window, f.turns = o.window, o.until
	}
	if c.eject != nil {
		f.ejected = c.eject.why
	}
	if c.parent != nil && c.parent.status.State == Down {
		f.parent = c.parent.name()
	}
	if c.before != nil {
		f.before, f.earlier = c.before.State, c.before.Reason
	}
	return f
}

// settle brings the effective state of c in line with its facts, and those of the checks that
// depend on it. It returns what changed for c itself. e.mu is held.
func (e *Engine) settle(c *check, now time.Time) (transition, bool) {
	was := c.status
	f := e.factsOf(c)
	v := effective(f)
	next := Status{
		State: v.state, Reason: v.reason, Source: v.source, Since: was.Since,
		At: c.at, TTFB: c.ttfb, Load: c.load,
	}
	if c.before != nil {
		next.At = c.before.At // a persisted state keeps its time
	}
	if c.mon != nil {
		next.Steady = steady(c.mon.rule, c.j, f, v.source, now)
	}
	if next.State == Down {
		next.TTFB, next.Load = 0, noLoad
	}
	if next.State != was.State {
		next.Since = now
	}
	if next.ModeSince = was.ModeSince; next.Load.Mode == "" {
		next.ModeSince = time.Time{}
	} else if next.Load.Mode != was.Load.Mode {
		next.ModeSince = now
	}
	c.status = next
	if next != was {
		e.pub.mark(c, urgencyOf(was, next))
	}
	if c.mets != nil && was.Load.Mode != next.Load.Mode {
		c.mets.says(was.Load.Mode, -1)
		c.mets.says(next.Load.Mode, +1)
	}
	if was.State == next.State {
		return transition{}, false
	}
	t := transition{key: c.key, from: was.State, to: next.State, reason: next.Reason, source: next.Source, kids: len(c.kids), res: c.last}
	if !was.Since.IsZero() {
		t.held = now.Sub(was.Since)
	}
	if c.mets != nil {
		c.mets.moved(t.from, t.to)
	}
	c.past.moved(t, now)
	if was.State == Down || next.State == Down {
		for _, kid := range c.kids {
			e.settle(kid, now)
		}
	}
	return t, true
}

// urgencyOf says how soon the change from a to b has to be seen.
func urgencyOf(a, b Status) urgency {
	switch {
	case a.State != b.State || a.Source != b.Source || a.Load.Mode != b.Load.Mode:
		return atOnce
	case a.Load != b.Load || a.Reason != b.Reason:
		return promptly
	}
	return lazily
}
