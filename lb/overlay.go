package lb

import (
	"time"

	"switchpoint/healthcheck"
)

// overlay is what the words of operators make of a pool's members at one time. It is immutable.
//
//	health state            drained, weight 0    drained, past its deadline    disabled
//	up, overloaded          draining             maintenance                   maintenance
//	unknown                 draining             maintenance                   maintenance
//	draining                as it is             maintenance                   maintenance
//	ejected by traffic      down, not as a last resort either
//	all others              as they are          as they are                   maintenance
type overlay struct {
	members []memberOverlay
	weights []int
}

type memberOverlay struct {
	to     healthcheck.State // Draining or Maintenance; Unknown: nothing is said
	closed bool              // disabled: maintenance whatever the health
	reason string
	words  []Word // that hold
}

// over puts what is said over the health.
func (m *memberOverlay) over(s healthcheck.Status) healthcheck.Status {
	switch {
	case m.to == healthcheck.Unknown:
		return s
	case m.closed:
	case s.State == healthcheck.Down && s.Source == healthcheck.FromTraffic:
		s.Source = healthcheck.FromOverride
		return s
	case s.State == healthcheck.Draining && m.to == healthcheck.Maintenance:
	case s.State != healthcheck.Up && s.State != healthcheck.Overloaded && s.State != healthcheck.Unknown:
		return s
	}
	s.State, s.Reason, s.Source = m.to, m.reason, healthcheck.FromOverride
	return s
}

// overlay gives what is said of a pool's members at now; nil: nothing.
func (ws words) overlay(pt *poolTable, now time.Time) *overlay {
	o := &overlay{members: make([]memberOverlay, len(pt.members))}
	some := false
	for i := range pt.members {
		m, weight := &o.members[i], pt.weights[i]
		if w, ok := ws.hold(wordKey{pt.name, pt.members[i].address, true}, now); ok {
			m.words = append(m.words, w)
			if weight = w.Weight; weight == 0 {
				m.to, m.reason = healthcheck.Draining, w.Said()
			}
		}
		if w, ok := ws.hold(wordKey{pt.name, pt.members[i].address, false}, now); ok {
			m.words = append(m.words, w)
			m.to, m.reason = healthcheck.Draining, w.Said()
			if m.closed = w.Do == Disable; m.closed || !w.Deadline.IsZero() && !now.Before(w.Deadline) {
				m.to = healthcheck.Maintenance
			}
		}
		o.weights = append(o.weights, weight)
		some = some || len(m.words) > 0
	}
	if !some {
		return nil
	}
	return o
}

// hold gives the word that holds for a key at now.
func (ws words) hold(k wordKey, now time.Time) (Word, bool) {
	w, ok := ws[k]
	return w, ok && !w.takesBack() && !w.over(now)
}
