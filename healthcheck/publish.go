package healthcheck

import "time"

// How long a change may wait for others, so that a storm of changes costs few snapshots. A
// change of state after a quiet moment is published at once.
const (
	gapAtOnce   = 5 * time.Millisecond
	gapPromptly = 50 * time.Millisecond
	gapLazily   = time.Second
	// A snapshot of a large table in which everything moves costs milliseconds. For so many times
	// what the newest one cost there is no other, so that a storm leaves the cores to the probes.
	// It is bounded, because a process without CPU measures its waiting as cost.
	gapCost    = 20
	gapCostMax = 100 * time.Millisecond
)

// publisher collects the checks whose status is newer than the snapshot, and knows when the
// next snapshot is due. It is guarded by Engine.mu.
type publisher struct {
	dirty []*check
	last  time.Duration // when the newest snapshot was published, or later: when there may be another
	at    time.Duration // when the next one is due, if dirty
}

// mark notes that c changed.
func (p *publisher) mark(c *check, u urgency) {
	at := p.last + gapLazily
	switch u {
	case atOnce:
		at = p.last + gapAtOnce
	case promptly:
		at = p.last + gapPromptly
	}
	if len(p.dirty) == 0 || at < p.at {
		p.at = at
	}
	if !c.dirty {
		c.dirty = true
		p.dirty = append(p.dirty, c)
	}
}

func (p *publisher) due(now time.Duration) bool { return len(p.dirty) > 0 && now >= p.at }

func (p *publisher) planned() (time.Duration, bool) { return p.at, len(p.dirty) > 0 }

// publish makes everything that changed visible, in one pointer. e.mu is held.
func (e *Engine) publish(now time.Duration) {
	if len(e.pub.dirty) == 0 {
		return
	}
	began := time.Now()
	e.snap.Store(e.snap.Load().with(e.pub.dirty))
	for i, c := range e.pub.dirty {
		c.dirty = false
		e.pub.dirty[i] = nil
	}
	e.pub.dirty = e.pub.dirty[:0]
	e.pub.last = now
	if cost := time.Since(began); cost > gapAtOnce/gapCost {
		e.pub.last += min(gapCost*cost, gapCostMax)
	}
	e.tellSubscribers()
}

// publishIfDue publishes, or makes sure that the loop does when it is due. e.mu is held.
func (e *Engine) publishIfDue(now time.Duration) {
	if e.pub.due(now) {
		e.publish(now)
	} else if at, ok := e.pub.planned(); ok {
		e.wakeBefore(at)
	}
}

// firstRound knows when the engine has something to say. It is guarded by Engine.mu.
type firstRound struct {
	known bool // the first table is set
	left  int  // checks that still owe their first result
	end   time.Duration
	over  bool
}

// expect notes the checks of the first table.
func (f *firstRound) expect(checks map[Key]*check, gen uint64) {
	f.known = true
	for _, c := range checks {
		if c.gen == gen && c.before == nil { // a persisted state serves meanwhile
			c.owed = true
			f.left++
		}
	}
}

// done notes the first result of c, or that none will come.
func (f *firstRound) done(c *check) {
	if c.owed {
		c.owed = false
		f.left--
	}
}

func (f *firstRound) deadline() (time.Duration, bool) { return f.end, f.end > 0 && !f.over }

// endFirstRound lets others begin to serve once the first round is over. e.mu is held.
func (e *Engine) endFirstRound(now time.Duration) {
	f := &e.first
	if f.over || !f.known || !e.started {
		return
	}
	if f.end == 0 {
		f.end = now + e.settings.StartDeadline
	}
	if f.left > 0 && now < f.end {
		return
	}
	f.over = true
	e.publish(now)
	if f.left > 0 {
		e.log.Warn("the first round of health checks is not complete at its deadline; serving with what is known",
			"missing", f.left, "deadline", e.settings.StartDeadline)
	}
	close(e.ready)
}
