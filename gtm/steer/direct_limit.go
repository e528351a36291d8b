package steer

import (
	"slices"
	"time"
)

// demotionWindow is the time that max_demotions counts in.
const demotionWindow = time.Minute

// A pool that took part and turns ill goes, unless too many others of the name went within the
// last minute and are not back: then it keeps what it served last until a slot is free. That way a
// prober that has gone wrong does not take everything out at once.
//
//	pool that turns ill                    others that can serve    slots used           result
//	took no part                           any                      any                  goes; no slot, no hold
//	took part                              none: the name is down   any                  goes; no slot
//	took part                              some                     < max_demotions      goes; uses a slot
//	took part                              some                     >= max_demotions     kept
//	took part, people took all it served   some                     any                  goes; no slot
//
// The longest ill gets the first slot. A slot is free again after a minute, or when its pool is back.
func (m *making) demote() {
	used := 0
	for i := range m.past.pools {
		past, h := &m.past.pools[i], m.health[i].health
		if past.takesSlot(m.Now) {
			used++
		}
		switch {
		case h != ill:
			if h != unclear {
				past.ill = time.Time{}
			}
		case past.ill.IsZero():
			past.ill = m.Now
		}
	}
	down := !m.canServe()
	for _, i := range m.newlyIll() {
		switch {
		case !m.past.pools[i].took || !m.eligible(i):
			m.goes(i, false)
		case down || len(m.keepable(i)) == 0:
			m.goes(i, m.ManualResume)
		case used < m.MaxDemotions || m.Supposed != nil:
			used++
			m.goes(i, m.ManualResume)
			m.past.pools[i].demoted = m.Now
		default:
			m.pools()[i].verdict = kept
		}
	}
}

// takesSlot says whether the pool counts against the limit.
func (p *poolPast) takesSlot(now time.Time) bool {
	return p.gone && !p.demoted.IsZero() && now.Before(p.demoted.Add(demotionWindow))
}

// newlyIll are the pools that are ill and not gone, the longest ill first.
func (m *making) newlyIll() []int {
	var out []int
	for i := range m.past.pools {
		if m.health[i].health == ill && !m.past.pools[i].gone {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return m.past.pools[a].ill.Compare(m.past.pools[b].ill) })
	return out
}

func (m *making) goes(i int, hold bool) {
	past := &m.past.pools[i]
	past.gone, past.held, past.under = true, hold, m.Operator.Version
	past.demoted, past.well = time.Time{}, time.Time{}
}

// eligible says whether the pool may serve as far as operators and the mode are concerned.
func (m *making) eligible(i int) bool {
	p := &m.name.pools[i]
	if said := m.words.about(p, ""); said != nil {
		return !said.out()
	}
	return m.inMode(p)
}

// canServe says whether any pool could serve.
func (m *making) canServe() bool {
	for i := range m.health {
		if len(m.health[i].serving) > 0 && m.eligible(i) {
			return true
		}
	}
	return false
}

// keepable is what a kept pool serves: what its members' health allows, else what it served last, but
// for those that people have taken out.
func (m *making) keepable(i int) []int {
	if s := m.health[i].serving; len(s) > 0 {
		return s
	}
	var out []int
	for _, j := range m.past.pools[i].good {
		if !isPlanned(&m.pools()[i].status[j]) {
			out = append(out, j)
		}
	}
	return out
}

// keep makes a pool go on for the demotion limit.
func (m *making) keep(i int) {
	v := &m.pools()[i]
	v.serving = m.keepable(i)
	v.why = "kept: demotion limit, max_demotions is used up for this minute; it would be out: " + m.ailment(i)
	v.rule = v.why
	m.wake(m.nextSlot())
}

// ailment says what is wrong with an ill pool.
func (m *making) ailment(i int) string {
	if h := &m.health[i]; len(h.serving) > 0 && !h.ejected {
		return h.thin(len(m.name.pools[i].members))
	}
	return m.health[i].rule
}

// nextSlot is when the first of the slots is free again.
func (m *making) nextSlot() time.Time {
	var first time.Time
	for i := range m.past.pools {
		if past := &m.past.pools[i]; past.takesSlot(m.Now) {
			first = sooner(first, past.demoted.Add(demotionWindow))
		}
	}
	return first
}

// comeBack ends the absence of the pools that are well again, held no more and well for the failback
// delay. A release ends a hold also while the pool is ill.
//
//	gone pool is    held                  well for failback_delay    result
//	not well        any                   -                          stays gone
//	well            yes, not released     any                        stays gone
//	well            no                    no                         stays gone, due at the end of the delay
//	well            no                    yes                        back
func (m *making) comeBack() {
	for i := range m.past.pools {
		past := &m.past.pools[i]
		if !past.gone {
			continue
		}
		past.held = past.held && m.ManualResume && !m.Operator.released(m.name.pools[i].id, past.under)
		switch m.health[i].health {
		case unclear:
			continue // as it was
		case well:
			if past.well.IsZero() {
				past.well = m.Now
			}
		default:
			past.well = time.Time{}
			continue
		}
		if past.held {
			continue
		}
		if back := past.well.Add(m.FailbackDelay); m.Now.Before(back) {
			m.expect(back, "the failback delay of "+m.name.pools[i].Datacenter+" ends")
			continue
		}
		past.gone, past.demoted, past.well = false, time.Time{}, time.Time{}
	}
}
