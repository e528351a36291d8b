package healthcheck

import "time"

// SetTable makes t the table. Checks that both tables hold under the same monitor definition
// keep their state, counters and phase; under a changed definition they keep the state and
// are judged anew from it; new ones are probed promptly; the others are no longer probed.
func (e *Engine) SetTable(t *Table) {
	e.lines.configure(t.settings, t.checks)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gen++
	now := time.Since(e.start)
	changed := changedMonitors(e.monitors, t.monitors)
	e.monitors, e.settings = t.monitors, t.settings
	e.crew.max, e.hosts.max = inFlightLimit(t.settings), max(1, t.settings.MaxPerHost)
	e.spread = spreadOf(len(t.checks))
	e.mets.keep(t.monitors)
	for _, k := range t.checks {
		e.adopt(e.want(k), t.monitors[k.Monitor], changed[k.Monitor], now)
	}
	for _, c := range e.checks {
		if c.gen != e.gen {
			e.drop(c, now)
		}
	}
	e.relate(t.checks)
	if e.gen == 1 {
		e.first.expect(e.checks, e.gen)
	}
	e.publish(now)
	e.wakeBefore(now)
}

// changedMonitors names the monitors of next that were defined otherwise before.
func changedMonitors(old, next map[string]*monitor) map[string]bool {
	changed := make(map[string]bool)
	for name, m := range next {
		if was := old[name]; was != nil && !sameMonitor(m.def, was.def) {
			changed[name] = true
		}
	}
	return changed
}

// relate links the checks with those that they depend on, and looks at the maintenance windows
// of the new table.
func (e *Engine) relate(keys []Key) {
	for _, c := range e.checks {
		c.parent, c.kids = nil, nil
	}
	for _, k := range keys {
		c := e.checks[k]
		if parent, has := c.mon.def.parent(k.Address); has {
			c.parent = e.checks[parent]
			c.parent.kids = append(c.parent.kids, c)
		}
	}
	wall := time.Now()
	clear(e.open)
	e.openWindows(wall)
	for _, k := range keys {
		e.settle(e.checks[k], wall)
	}
}

// adopt puts c under the monitor m and lets it be probed.
func (e *Engine) adopt(c *check, m *monitor, changed bool, now time.Duration) {
	fresh := c.mon == nil
	c.mon, c.mets = m, e.mets.of(c.key.Monitor)
	e.passive.grow(c.ref).want(m.def.Judging)
	if !fresh && !changed {
		return
	}
	if fresh {
		if c.j.state != Unknown { // it was dropped a while ago: what was known then is stale
			c.reset(notYet)
			e.pub.mark(c, atOnce)
		}
		c.mets.count(c.status.State, +1)
		c.mets.says(c.status.Load.Mode, +1)
	}
	c.j.fails, c.j.oks, c.j.window, c.speed = 0, 0, 0, nil
	c.held = c.held && m.def.ManualResume
	switch c.place {
	case running:
		c.restart = true
	case waiting:
		e.wheel.remove(c)
		e.await(c, firstDue(now, c.hash, m.def.Interval, e.spread))
	case idle:
		e.await(c, firstDue(now, c.hash, m.def.Interval, e.spread))
	}
}

// drop ends the probing of a check that the new table does not hold. Its index and its last
// state stay for one more generation and for refGrace, because a query may still hold the old
// tables, and a room may have compiled its next table but not set it yet.
func (e *Engine) drop(c *check, now time.Duration) {
	if c.mon != nil {
		c.mets.count(c.status.State, -1)
		c.mets.says(c.status.Load.Mode, -1)
		c.mon, c.mets, c.restart = nil, nil, true
		c.eject = nil
		delete(e.ejected, c)
		e.passive.cell(c.ref).clear()
		e.first.done(c)
	}
	if c.place == waiting {
		e.wheel.remove(c)
		c.place = idle
	}
	if c.gen+1 < e.gen && now-c.wanted >= refGrace && c.place == idle {
		c.reset(notYet)
		e.pub.mark(c, atOnce)
		e.refs.give(c.ref)
		e.byRef[c.ref] = nil
		e.hosts.leave(c)
		delete(e.checks, c.key)
	}
}
