package healthcheck

import (
	"fmt"
	"time"
)

// Force lays o over every check that its pattern matches, now and later, until it expires or is
// released. It is on disk when Force returns; on an error nothing changed.
func (e *Engine) Force(o Override) error {
	e.store.Lock()
	defer e.store.Unlock()
	now := time.Now()
	o.Set = now
	if err := o.validate(now); err != nil {
		return err
	}
	next, err := e.overridesNow().with(o)
	if err != nil {
		return err
	}
	if err := e.keepOverrides(next); err != nil {
		return err
	}
	n := e.useOverrides(next)
	e.log.Warn("health forced", "pattern", o.Pattern, "state", o.State.String(), "owner", o.Owner, "reason", o.Reason, "expires", o.Expires, "checks", n)
	return nil
}

// Release takes back the override with this very pattern, and ends the manual-resume hold of
// every check that the pattern matches. It gives how many of both there were.
func (e *Engine) Release(pattern string) (int, error) {
	e.store.Lock()
	defer e.store.Unlock()
	old := e.overridesNow()
	next := old.without(func(o *Override) bool { return o.Pattern == pattern })
	gone := len(old) - len(next)
	if gone > 0 {
		if err := e.keepOverrides(next); err != nil {
			return 0, err
		}
		e.useOverrides(next)
	}
	held := e.releaseHolds(pattern)
	if gone+held > 0 {
		e.log.Info("health released", "pattern", pattern, "overrides", gone, "holds", held)
	}
	return gone + held, nil
}

// Overrides are those that hold, in the order in which they were said.
func (e *Engine) Overrides() []Override {
	var out []Override
	for _, o := range e.overridesNow() {
		if !o.over(time.Now()) {
			out = append(out, *o)
		}
	}
	return out
}

func (e *Engine) overridesNow() overrides {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.forced
}

// keepOverrides writes them to the state directory, if there is one. e.store is held.
func (e *Engine) keepOverrides(os overrides) error {
	if e.stateDir == "" {
		return nil
	}
	if err := writeJSON(e.stateDir, overridesFile, overridesOnDisk{Overrides: os}); err != nil {
		return fmt.Errorf("keep the health overrides: %w", err)
	}
	return nil
}

// useOverrides makes os the overrides, and gives how many checks of the table have one.
func (e *Engine) useOverrides(os overrides) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forced = os
	n := 0
	now := time.Now()
	for _, c := range e.checks {
		was := c.force
		c.force = os.of(c.key)
		if c.force != nil && c.mon != nil {
			n++
		}
		if c.force != was {
			e.settle(c, now)
		}
	}
	e.publish(time.Since(e.start))
	e.wakeBefore(time.Since(e.start)) // the loop plans the next expiry
	return n
}

// expireOverrides ends those whose time is over. The loop calls it; e.mu is held.
func (e *Engine) expireOverrides(now time.Time) (at time.Time, planned bool) {
	at, planned = e.forced.nextExpiry()
	if !planned || now.Before(at) {
		return at, planned
	}
	e.forced = e.forced.without(func(o *Override) bool { return o.over(now) })
	for _, c := range e.checks {
		if c.force == nil || !c.force.over(now) {
			continue
		}
		c.force = e.forced.of(c.key)
		e.settle(c, now)
	}
	e.log.Info("health overrides expired", "left", len(e.forced))
	return e.forced.nextExpiry()
}

// releaseHolds ends the manual-resume holds that the pattern matches.
func (e *Engine) releaseHolds(pattern string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for _, c := range e.checks {
		if c.held && matches(pattern, c.key) {
			c.held = false
			n++
			e.settle(c, now)
		}
	}
	if n > 0 {
		e.publish(time.Since(e.start))
	}
	return n
}

// openWindows looks at the maintenance windows of all monitors and plans when to look again, at
// the next whole minute. e.mu is held.
func (e *Engine) openWindows(now time.Time) {
	e.openAgain = time.Time{}
	changed := false
	for name, m := range e.monitors {
		if len(m.times) == 0 {
			continue
		}
		e.openAgain = now.Truncate(time.Minute).Add(time.Minute)
		was := e.open[name]
		if was.holds(now) {
			continue
		}
		is := openingOf(m.times, now)
		e.open[name] = is
		if is.window != was.window {
			changed = true
			e.log.Info("maintenance window", "monitor", name, "open", is.window)
		}
	}
	if !changed {
		return
	}
	for _, c := range e.checks {
		if c.mon != nil && len(c.mon.times) > 0 {
			e.settle(c, now)
		}
	}
}
