package gtm

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

// WhatIf is what an explanation supposes beside the truth. The answer is that of the end: no limit
// on demotions delays it.
type WhatIf struct {
	// Down are datacenters whose members are supposed to be down, or patterns as operators write
	// them (steer.Override) for something smaller. The words of operators still count: what they
	// have forced up stays up.
	Down []string
	// Mode is the supposed mode of operation, steer.ModePrimary or steer.ModeDR; empty: that of now.
	Mode string
}

// nothing says that only the truth is asked for.
func (w WhatIf) nothing() bool { return len(w.Down) == 0 && w.Mode == "" }

// suppose puts the supposition into circumstances.
func (w WhatIf) suppose(c *steer.Circumstances, datacenters []string) error {
	var patterns []string
	for _, d := range w.Down {
		switch {
		case strings.Contains(d, "/"):
			patterns = append(patterns, d)
		case slices.Contains(datacenters, d):
			patterns = append(patterns, "*/"+d)
		default:
			return fmt.Errorf("there is no datacenter %q; it is one of %s, or a pattern such as cb.company.com/us/192.0.2.1:*",
				d, strings.Join(datacenters, ", "))
		}
	}
	c.Supposed = func(id string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return steer.Covers(p, id) })
	}
	switch w.Mode {
	case "":
	case steer.ModePrimary, steer.ModeDR:
		c.Operator = c.Operator.Clone()
		c.Operator.Mode = w.Mode
	default:
		return fmt.Errorf("%q is no mode; write %s or %s", w.Mode, steer.ModePrimary, steer.ModeDR)
	}
	return nil
}

// Explain answers a question as of now, or as it would be.
func (s *Server) Explain(q Question, w WhatIf) (Answer, error) {
	now := s.standing.Load()
	if now == nil {
		return Resolve(nil, nil, q), nil
	}
	if !q.Subnet.IsValid() && now.table.places.WantsDomain(q.Client) {
		q.Domain, _ = s.domains.find(q.Client, time.Now())
	}
	return now.table.explain(now.view, s.circumstances(), q, w)
}

// Explain answers a question as a node without a past that knows snap would.
func (t *Table) Explain(snap *healthcheck.Snapshot, now time.Time, q Question, w WhatIf) (Answer, error) {
	return t.explain(t.View(snap, now), steer.Circumstances{Status: snap.Get, Operator: &steer.Operator{}, Now: now}, q, w)
}

// explain answers from the view itself where nothing is supposed, else from the one that would
// follow it.
func (t *Table) explain(view *steer.View, c steer.Circumstances, q Question, w WhatIf) (Answer, error) {
	if q.Subnet.IsValid() && !t.places.Honours(q.Client) {
		return Answer{}, fmt.Errorf("[gtm.ecs] takes no client subnet from %s: what it asks is answered for its own address, so leave the subnet out", q.Client)
	}
	if !w.nothing() {
		if err := w.suppose(&c, t.steering.Datacenters()); err != nil {
			return Answer{}, err
		}
		view = steer.Direct(t.steering, view, c)
	}
	return Resolve(t, view, q), nil
}
