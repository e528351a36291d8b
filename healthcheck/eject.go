package healthcheck

import (
	"fmt"
	"log/slog"
	"time"
)

const (
	passiveFresh   = time.Minute // older reports say nothing of now
	maxEjectDouble = 5           // the hold doubles so often: up to 32 times itself
)

// ejection is a target that is down because its traffic fails. It outlives the time that it is
// down: a trial that fails soon after it is answered with a longer hold.
type ejection struct {
	why   string        // empty during the trial
	until time.Duration // end of the hold, then of the trial's memory
	times int           // unbroken row of ejections
	hold  time.Duration
}

// group is what traffic says of all checks of one monitor.
type group struct {
	reporting int // with reports of the last minute
	suspect   int // of them, ejected or at least half-way to it
}

// groupAt is a group as it was seen a moment ago: many checks become notable at once when they
// fail together, and each need not look at all of them again.
type groupAt struct {
	group
	at time.Duration
}

const groupKept = 100 * time.Millisecond

// shared says whether so many of the checks fail that the cause must be one they share: then
// ejecting them would only take away what is left (HK4). It is pure.
func (g group) shared(maxPercent int) bool { return g.suspect*100 > g.reporting*maxPercent }

// suspicious says whether a check counts toward a shared failure.
func suspicious(b uint64, limit uint32) bool {
	fall := int(limit >> 8)
	return failsIn(b, limit&0xff) >= (fall+1)/2
}

// sharedBy says whether the checks of a monitor share a failure. That they do is remembered for a
// moment, because then many become notable at once; that they do not is looked up each time.
// e.mu is held.
func (e *Engine) sharedBy(m *monitor, now time.Duration) (group, bool) {
	was, ok := e.groups[m.def.Name]
	if ok && now-was.at < groupKept && was.shared(m.def.PassiveMaxEjected) {
		return was.group, true
	}
	g := e.groupOf(m.def.Name, now)
	e.groups[m.def.Name] = groupAt{g, now}
	return g, g.shared(m.def.PassiveMaxEjected)
}

// groupOf visits all checks of a monitor: it is asked only when one of them is to be ejected.
func (e *Engine) groupOf(monitor string, now time.Duration) (g group) {
	for _, c := range e.checks {
		if c.mon == nil || c.key.Monitor != monitor {
			continue
		}
		cell := e.passive.cell(c.ref)
		at := time.Duration(cell.at.Load())
		recent := at > 0 && now-at < passiveFresh
		out := c.eject != nil && c.eject.why != ""
		if recent || out {
			g.reporting++
		}
		if out || recent && suspicious(cell.bits.Load(), cell.limit.Load()) {
			g.suspect++
		}
	}
	return g
}

// heard looks at a check that its reports made notable.
func (e *Engine) heard(r Ref) {
	e.mu.Lock()
	cell := e.passive.cell(r)
	cell.told.Store(0)
	c := e.byRef[r]
	if c == nil || c.mon == nil || c.mon.def.NoPassive {
		e.mu.Unlock()
		return
	}
	now, wall := time.Since(e.start), time.Now()
	var t transition
	changed := false
	b, limit := cell.bits.Load(), cell.limit.Load()
	fall, window := int(limit>>8), limit&0xff
	switch out := c.eject != nil && c.eject.why != ""; {
	case out && uint32(b)&(1<<fall-1) == 0:
		t, changed = e.readmit(c, cell, now, wall)
	case !out && failsIn(b, window) >= fall:
		t, changed = e.ejectNow(c, cell, now, wall)
	case failsIn(b>>32, window) >= fall && c.j.state != Overloaded:
		why := fmt.Sprintf("traffic says 503: %d of the last %d requests", failsIn(b>>32, window), window)
		c.j = judge(c.mon.rule, c.j, Result{State: Overloaded, Reason: why}, wall)
		t, changed = e.settle(c, wall)
	}
	e.publishIfDue(now)
	e.mu.Unlock()
	if changed {
		e.logTransition(t)
	}
}

// ejectNow puts c down unless the failure is shared. e.mu is held.
func (e *Engine) ejectNow(c *check, cell *cell, now time.Duration, wall time.Time) (transition, bool) {
	if g, shared := e.sharedBy(c.mon, now); shared {
		e.spare(c.key.Monitor, g, now, wall)
		return transition{}, false
	}
	delete(e.sharedSince, c.key.Monitor)
	ej := ejection{hold: c.mon.def.PassiveHold, times: 1}
	if old := c.eject; old != nil && now < old.until { // the trial failed
		ej.times = old.times + 1
		ej.hold = c.mon.def.PassiveHold << min(old.times, maxEjectDouble)
	}
	window := cell.limit.Load() & 0xff
	ej.why = fmt.Sprintf("traffic fails: %d of the last %d requests, the newest: %s",
		failsIn(cell.bits.Load(), window), window, sayWhy(cell.why.Load()))
	ej.until = now + ej.hold
	c.eject = &ej
	cell.out.Store(1)
	e.mets.ejections.WithLabelValues(c.key.Monitor).Inc()
	e.ejected[c] = struct{}{}
	e.wakeBefore(ej.until)
	return e.settle(c, wall)
}

// readmit ends an ejection. For as long as its hold was, the next ejection of c takes longer, and
// one more failure in the trial is enough for it. e.mu is held.
func (e *Engine) readmit(c *check, cell *cell, now time.Duration, wall time.Time) (transition, bool) {
	ej := *c.eject
	ej.why, ej.until = "", now+2*ej.hold
	c.eject = &ej
	cell.out.Store(0)
	if limit := cell.limit.Load(); uint32(cell.bits.Load())&(1<<(limit>>8)-1) != 0 {
		cell.bits.Store(1<<(limit>>8-1) - 1)
	}
	return e.settle(c, wall)
}

// spare gives every ejected check of a monitor back, because the failure is one that they share.
// It says so once a minute. e.mu is held.
func (e *Engine) spare(monitor string, g group, now time.Duration, wall time.Time) {
	for c := range e.ejected {
		if c.key.Monitor == monitor && c.eject != nil && c.eject.why != "" {
			e.readmit(c, e.passive.cell(c.ref), now, wall)
		}
	}
	since, said := e.sharedSince[monitor]
	if said && now-since < passiveFresh {
		return
	}
	e.sharedSince[monitor] = now
	e.mets.shared.WithLabelValues(monitor).Inc()
	e.log.Warn("traffic to most targets fails: a cause that they share, none is put down for it",
		slog.String("monitor", monitor), slog.Int("failing", g.suspect), slog.Int("with_traffic", g.reporting))
}

// endEjections gives back the targets whose hold is over and forgets the trials that went well.
// It returns when to look again. e.mu is held.
func (e *Engine) endEjections(now time.Duration, wall time.Time) (next time.Duration, planned bool) {
	for c := range e.ejected {
		ej := c.eject
		switch {
		case ej == nil || now >= ej.until && ej.why == "":
			c.eject = nil
			delete(e.ejected, c)
			continue
		case now >= ej.until:
			if t, changed := e.readmit(c, e.passive.cell(c.ref), now, wall); changed {
				e.late = append(e.late, t)
			}
		}
		if !planned || c.eject.until < next {
			next, planned = c.eject.until, true
		}
	}
	return next, planned
}
