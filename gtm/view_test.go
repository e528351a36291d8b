package gtm

import (
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

// resolve answers from health that a test makes up.
func resolve(t *Table, status func(healthcheck.Ref) healthcheck.Status, q Question) Answer {
	return Resolve(t, steer.Direct(t.steering, nil, steer.Circumstances{Status: status, Now: time.Unix(1e9, 0)}), q)
}

// unprobed is the view of a table of which no member was probed yet; nil where nothing is steered.
func unprobed(t *Table) *steer.View {
	if t == nil || t.steering == nil {
		return nil
	}
	return t.View(nil, time.Unix(1e9, 0))
}
