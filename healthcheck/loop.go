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
		}
		timer.Reset(e.turn())
	}
}

// turn does all that is due and says how long nothing will be.
func (e *Engine) turn() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Since(e.start)
	e.wheel.advance(now, func(c *check) {
		c.place = queued
		e.crew.give(c)
	})
	if e.pub.due(now) {
		e.publish(now)
	}
	e.endFirstRound(now)

	wake := now + farAway
	if at, ok := e.wheel.next(); ok {
		wake = min(wake, at)
	}
	if at, ok := e.pub.planned(); ok {
		wake = min(wake, at)
	}
	if at, ok := e.first.deadline(); ok {
		wake = min(wake, at)
	}
	e.wake = wake
	return max(0, wake-now)
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

// transition is a change of state, as it is logged.
type transition struct {
	key      Key
	from, to State
	held     time.Duration // how long from was the state; 0 when it was unknown
	res      Result
}

// finish takes over a result and lets the check wait for its next turn.
func (e *Engine) finish(c *check, res Result) (transition, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Since(e.start)
	switch {
	case c.mon == nil:
		c.place = idle
		return transition{}, false
	case c.restart:
		c.restart = false
		e.await(c, firstDue(now, c.hash, c.mon.def.Interval))
		return transition{}, false
	}
	interval := c.mon.def.Interval
	c.base = nextBase(now, c.base, c.hash, interval)
	e.await(c, c.base+jitter(interval))

	since := c.j.since
	from, u := c.take(res)
	t := transition{key: c.key, from: from, to: c.j.state, res: res}
	if !since.IsZero() {
		t.held = res.At.Sub(since)
	}
	changed := t.from != t.to
	if changed {
		c.mets.moved(t.from, t.to)
	}
	e.pub.mark(c, u)
	if e.pub.due(now) {
		e.publish(now)
	} else if at, ok := e.pub.planned(); ok {
		e.wakeBefore(at)
	}
	e.first.done(c)
	e.endFirstRound(now)
	return t, changed
}

func (e *Engine) logTransition(t transition) {
	level := slog.LevelInfo
	if t.to != Up {
		level = slog.LevelWarn
	}
	e.log.LogAttrs(context.Background(), level, "health changed",
		slog.String("address", t.key.Address),
		slog.String("monitor", t.key.Monitor),
		slog.String("from", t.from.String()),
		slog.String("to", t.to.String()),
		slog.String("reason", t.res.Reason),
		slog.Duration("held", t.held.Round(time.Millisecond)),
		slog.Duration("probe", t.res.Total.Round(time.Microsecond)),
	)
}
