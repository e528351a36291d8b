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
	host   *gate
	addr   *gate

	next, prev *check // in the wheel
	tick       int64
	due, base  time.Duration
	place      place
	restart    bool // the definition changed while a probe ran: its result does not count
	rush       bool // it goes first: another check of its address has just failed
	owed       bool // the first round waits for its result
	dirty      bool // status is newer than the published snapshot
	held       bool // a fact: manual resume

	// The facts. What each of them means for the state, effective says.
	j      judged
	last   Result    // the newest result, also one that did not count
	at     time.Time // of the newest result that did
	ttfb   time.Duration
	load   Load
	speed  *latency     // of a monitor with a latency limit
	before *stateOnDisk // from before a restart, until the first result
	eject  *ejection
	force  *Override
	parent *check
	kids   []*check // that depend on it

	status Status // the effective one
	past   past
}

// reset makes c a check of which nothing is known but what an operator said.
func (c *check) reset(why string) {
	c.j = judged{reason: why}
	c.status = Status{Reason: why, Load: noLoad}
	c.last, c.at = Result{}, time.Time{}
	c.ttfb, c.load = 0, noLoad
	c.speed, c.before, c.held, c.eject = nil, nil, false, nil
}

func (c *check) name() string { return c.key.Address + "/" + c.key.Monitor }

// urgency is how soon a new status has to be published.
type urgency uint8

const (
	lazily   urgency = iota // only times and measurements moved
	promptly                // load or reason moved
	atOnce                  // the state moved
)

// see remembers a result as the newest one, whether it counts or not.
func (c *check) see(res Result) {
	if bytes.Equal(res.FirstBytes, c.last.FirstBytes) {
		res.FirstBytes = c.last.FirstBytes // most answers are equal: keep one copy of them
	}
	c.last = res
}

// take judges a result that counts. The fact that it changes is j; settle does the rest.
func (c *check) take(res Result) {
	was := c.j.state
	c.j = judge(c.mon.rule, c.j, res, res.At)
	c.at, c.before = res.At, nil
	switch {
	case c.j.state == Down:
		c.ttfb, c.load = 0, noLoad
	case res.State != Down:
		c.ttfb, c.load = res.TTFB, res.Load
	}
	if res.State == Down {
		c.past.failed(c.last)
	}
	if c.mon.def.ManualResume && c.j.state == Down && was != Down && was != Unknown {
		c.held = true
	}
}

// CheckStatus is what the admin API shows of one check.
type CheckStatus struct {
	Key    Key
	Ref    Ref
	Status Status
	// Judged is what the probes alone say.
	Judged State
	// Last is the newest result; its At is zero when there is none yet.
	Last Result
	// Fails and Successes are the lengths of the newest unbroken run, up to fall and rise.
	Fails, Successes int
}
