package healthcheck

import (
	"bytes"
	"time"
)

// place is where a check is in its round. A check is in exactly one place.
type place uint8

const (
	idle    place = iota // in no table: it is not probed
	waiting              // in the wheel
	queued               // its moment came, no worker has it yet
	running              // a worker probes it
)

// check is all that the engine knows of one Key. It is guarded by Engine.mu.
type check struct {
	key    Key
	ref    Ref
	hash   uint64
	gen    uint64        // the newest table generation that wanted it
	wanted time.Duration // when a table or a room wanted it last
	mon    *monitor
	mets   *monitorMetrics

	place      place
	next, prev *check // in the wheel
	tick       int64
	due, base  time.Duration
	restart    bool // the definition changed while a probe ran: its result does not count

	j      judged
	status Status
	last   Result
	owed   bool // the first round waits for its result
	dirty  bool // status is newer than the published snapshot
}

// reset makes c a check of which nothing is known.
func (c *check) reset(why string) {
	c.j = judged{reason: why}
	c.status = Status{Reason: why, Load: noLoad}
	c.last = Result{}
}

// urgency is how soon a new status has to be published.
type urgency uint8

const (
	lazily   urgency = iota // only times and measurements moved
	promptly                // load or reason moved
	atOnce                  // the state moved
)

// take judges a result and says how much the status changed by it.
func (c *check) take(res Result) (from State, u urgency) {
	from = c.j.state
	c.j = judge(c.mon.rule, c.j, res, res.At)
	if bytes.Equal(res.FirstBytes, c.last.FirstBytes) {
		res.FirstBytes = c.last.FirstBytes // most answers are equal: keep one copy of them
	}
	c.last = res
	next := Status{
		State: c.j.state, Reason: c.j.reason, Since: c.j.since,
		At: res.At, TTFB: c.status.TTFB, Load: c.status.Load,
	}
	switch {
	case next.State == Down:
		next.TTFB, next.Load = 0, noLoad
	case res.State != Down:
		next.TTFB, next.Load = res.TTFB, res.Load
	}
	was := c.status
	c.status = next
	switch {
	case was.State != next.State || was.Load.Mode != next.Load.Mode:
		u = atOnce
	case was.Load != next.Load || was.Reason != next.Reason:
		u = promptly
	}
	return from, u
}

// CheckStatus is what the admin API shows of one check.
type CheckStatus struct {
	Key    Key
	Ref    Ref
	Status Status
	// Last is the newest result; its At is zero when there is none yet.
	Last Result
	// Fails and Successes are the lengths of the newest unbroken run, up to fall and rise.
	Fails, Successes int
}
