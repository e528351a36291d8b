package healthcheck

import (
	"context"
	"time"
)

const (
	saveEvery = time.Minute
	// staleAfter bounds the age of a state that may serve after a restart: older ones say
	// nothing of now.
	staleAfter = 10 * time.Minute
)

// recall reads what the state directory holds. A file that cannot be used is reported and set
// aside; the engine starts without it.
func (e *Engine) recall() {
	if e.stateDir == "" {
		return
	}
	now := time.Now()
	var said overridesOnDisk
	if err := readJSON(e.stateDir, overridesFile, &said); err != nil {
		e.log.Error("the kept health overrides are lost", "error", err)
	} else {
		for _, o := range said.Overrides {
			if o == nil || o.over(now) {
				continue
			}
			if err := o.validate(now); err != nil {
				e.log.Error("a kept health override is not usable", "pattern", cut(o.Pattern), "error", err)
				continue
			}
			e.forced = append(e.forced, o)
		}
	}
	var states statesOnDisk
	if err := readJSON(e.stateDir, statesFile, &states); err != nil {
		e.log.Error("the kept health states are lost", "error", err)
		return
	}
	for i := range states.Checks {
		s := &states.Checks[i]
		if now.Sub(s.At).Abs() > staleAfter { // its hold still stands: only an operator ends that
			s.State = Unknown
		}
		if s.State != Unknown || s.Held {
			e.before[Key{s.Address, s.Monitor}] = s
		}
	}
}

// saveStates writes the states now and then, and at the end.
func (e *Engine) saveStates(ctx context.Context) {
	if e.stateDir == "" {
		return
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for seq := uint64(0); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			e.save()
			return
		}
		if now := e.Snapshot().Seq(); now != seq {
			seq = now
			e.save()
		}
	}
}

// save writes what the probes say of every check, so that a restart can serve from it.
func (e *Engine) save() {
	e.store.Lock()
	defer e.store.Unlock()
	states := statesOnDisk{Saved: time.Now()}
	e.mu.Lock()
	for _, c := range e.checks {
		switch {
		case c.mon == nil:
		case c.before != nil: // this process has not probed it: it is as old as it was
			states.Checks = append(states.Checks, *c.before)
		case c.j.state != Unknown || c.held:
			states.Checks = append(states.Checks, stateOnDisk{
				Address: c.key.Address, Monitor: c.key.Monitor, State: c.j.state,
				Reason: cut(c.j.reason), Since: c.j.since, At: c.at, Held: c.held,
			})
		}
	}
	e.mu.Unlock()
	if err := writeJSON(e.stateDir, statesFile, states); err != nil {
		e.log.Error("the health states cannot be kept for a restart", "error", err)
	}
}
