package healthcheck

import (
	"context"
	"log/slog"
	"time"
)

// farAway is how long the loop sleeps when nothing is planned.
const farAway = time.Hour

// loop is the one goroutine that moves time on: it fires checks, publishes what waited to be
// published together, and ends the first round at its deadline.
func (e *Engine) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-e.kick:
		case r := <-e.passive.tell:
			e.heard(r)
			continue
		}
		timer.Reset(e.turn())
	}
}

// turn does all that is due and says how long nothing will be.
func (e *Engine) turn() time.Duration {
	e.mu.Lock()
	now, wall := time.Since(e.start), time.Now()
	if e.wake > 0 {
		e.over.note(now, now-e.wake)
	}
	e.wheel.advance(now, func(c *check) {
		c.place = queued
		if e.hosts.admit(c, now) {
			e.crew.give(c)
		}
	})
	wake := e.turnFacts(now, wall)
	if e.pub.due(now) {
		e.publish(now)
	}
	e.endFirstRound(now)
	if at, ok := e.wheel.next(); ok {
		wake = min(wake, at)
	}
	if at, ok := e.pub.planned(); ok {
		wake = min(wake, at)
	}
	if at, ok := e.first.deadline(); ok {
		wake = min(wake, at)
	}
	if e.mets.inFlight.Load() > 0 {
		wake = min(wake, now+lagWatch)
	}
	e.wake = wake
	late := e.late
	e.late = nil
	e.mu.Unlock()
	for _, t := range late {
		e.logTransition(t)
	}
	return max(0, wake-now)
}

// turnFacts does what changes states by time alone, and says when the next of that is due.
func (e *Engine) turnFacts(now time.Duration, wall time.Time) time.Duration {
	wake := now + farAway
	if at, ok := e.endEjections(now, wall); ok {
		wake = min(wake, at)
	}
	if at, ok := e.expireOverrides(wall); ok {
		wake = min(wake, now+at.Sub(wall))
	}
	if !e.openAgain.IsZero() {
		if !wall.Before(e.openAgain) {
			e.openWindows(wall)
		}
		wake = min(wake, now+e.openAgain.Sub(wall))
	}
	over, next := e.over.ended(now)
	switch {
	case over:
		e.log.Warn("health probes run on time again", "late_for", (now - e.over.begun).Round(time.Second), "not_counted", e.over.count)
	case next > 0:
		wake = min(wake, next)
	}
	return wake
}

// wakeBefore makes sure that the loop looks again at the latest at the given time.
func (e *Engine) wakeBefore(at time.Duration) {
	if at >= e.wake {
		return
	}
	e.wake = at
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// await lets c wait in the wheel until due.
func (e *Engine) await(c *check, due time.Duration) {
	c.place = waiting
	e.wheel.add(c, due)
	e.wakeBefore(due)
}

// probe is one worker's work on one check: the lock is held only before and after the probe.
func (e *Engine) probe(ctx context.Context, c *check) {
	e.mu.Lock()
	m, mets, due := c.mon, c.mets, c.due
	if m == nil { // dropped while it was queued
		c.place = idle
		e.hosts.done(c, 0, time.Since(e.start), e.crew.give)
		e.mu.Unlock()
		return
	}
	c.place, c.restart = running, false
	e.mu.Unlock()

	late := max(0, time.Since(e.start)-due)
	e.mets.started(late)
	res := m.probe(ctx, c.key.Address)
	res.Late = late
	e.mets.ended()
	if ctx.Err() != nil {
		return // the engine ends: this result says nothing of the target
	}
	mets.probed(res)
	if t, ok := e.finish(c, res); ok {
		e.logTransition(t)
	}
}

// transition is a change of the effective state, as it is logged.
type transition struct {
	key      Key
	from, to State
	source   Source
	held     time.Duration // how long from was the state; 0 when it was unknown
	kids     int           // checks that depend on it and are not logged themselves
	reason   string
	res      Result
}

// finish takes over a result and lets the check wait for its next turn.
func (e *Engine) finish(c *check, res Result) (transition, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Since(e.start)
	took := res.Total
	if took > slowAnswer && !res.TimedOut && e.over.between(c.due, now) >= lagNoise {
		took = 0 // this process was slow, not the target
	}
	e.hosts.done(c, took, now, e.crew.give)
	switch {
	case c.mon == nil:
		c.place = idle
		return transition{}, false
	case c.restart:
		c.restart = false
		e.await(c, firstDue(now, c.hash, c.mon.def.Interval, e.spread))
		return transition{}, false
	}
	counts := e.weigh(c, &res, now)
	c.see(res)
	if !counts {
		e.again(c, now, !res.TimedOut)
		return transition{}, false
	}
	c.take(res)
	e.again(c, now, false)
	if res.State == Down && !res.TimedOut && c.j.state != Down && c.j.fails == 1 {
		e.hurry(c, now)
	}
	t, changed := e.settle(c, res.At)
	e.publishIfDue(now)
	e.first.done(c)
	e.endFirstRound(now)
	return t, changed
}

// again plans the next turn of c. A probe that was put off comes soon, the others at their phase.
func (e *Engine) again(c *check, now time.Duration, soon bool) {
	interval := pace(c.mon.def, c.j)
	if soon {
		e.await(c, now+jitter(jitterShare*min(interval, time.Second)))
		return
	}
	after := c.base
	if c.j.state == Unknown || c.base == 0 { // its first turn was not at its phase: no second one soon after
		after = now + interval/2
	}
	c.base = nextBase(now, after, c.hash, interval)
	e.await(c, c.base+jitter(interval))
}

// weigh says whether a result counts, and turns a success that is too slow into a failure.
func (e *Engine) weigh(c *check, res *Result, now time.Duration) bool {
	m := c.mon
	if res.TimedOut && !res.Excused {
		if why := e.over.excuse(c.due, now, res.Total-m.def.Timeout, m.def.Timeout); why != "" {
			res.Excused, res.Reason = true, why+res.Reason
			if e.over.excused(now) {
				e.log.Warn("health probes run late: their time-outs do not count as failures until they run on time again",
					"address", c.key.Address, "monitor", c.key.Monitor, "reason", res.Reason)
			}
		}
	}
	if res.Excused {
		e.mets.excused.Inc()
		return false
	}
	if res.State == Up && m.pace.on() && e.over.between(c.due, now) < lagNoise {
		if c.speed == nil {
			c.speed = &latency{}
		}
		next, why := m.pace.judge(*c.speed, latencyOf(*res), res.At)
		*c.speed = next
		if why != "" {
			res.State, res.Reason = Down, why
		}
	}
	return true
}

func (e *Engine) logTransition(t transition) {
	level := slog.LevelInfo
	if t.to != Up {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("address", t.key.Address),
		slog.String("monitor", t.key.Monitor),
		slog.String("from", t.from.String()),
		slog.String("to", t.to.String()),
		slog.String("reason", t.reason),
		slog.String("source", t.source.String()),
		slog.Duration("held", t.held.Round(time.Millisecond)),
		slog.Duration("probe", t.res.Total.Round(time.Microsecond)),
	}
	if t.kids > 0 {
		attrs = append(attrs, slog.Int("dependents", t.kids))
	}
	e.log.LogAttrs(context.Background(), level, "health changed", attrs...)
}
