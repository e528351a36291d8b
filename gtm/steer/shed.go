package steer

import (
	"time"

	"switchpoint/healthcheck"
)

// Overload shifting moves clients in small steps: gtm moves at most 20 % of a datacenter's load per
// minute (HK4). With the steps at least shedEvery apart, four of them fit into a minute.
const (
	shedEvery = 15 * time.Second
	shedStep  = 0.05
	// shedMost is the most steps: some clients always stay, so that overload never empties a pool.
	shedMost = 19
)

// shift decides the share of clients that goes elsewhere. A pool is strained when all that serve in it
// are overloaded, or all report a capacity that is used up; a pool is a relief when it is in, not
// strained, and has a member that is up.
//
//	pool        others             result
//	is out      any                0
//	any         none is in         0 at once: what its clients were moved to is gone
//	strained    one is a relief    one step more, the first one a step time after the strain began
//	strained    none is a relief   one step less
//	relaxed     any is in          one step less
//
// A step is made no sooner than shedEvery after the last one, in either direction.
func (m *making) shift() {
	for i := range m.pools() {
		past := &m.past.pools[i]
		if !m.pools()[i].in || m.policy != "" || !m.others(i, func(v *poolView) bool { return v.in }) {
			past.shed, past.stepped = 0, time.Time{}
			continue
		}
		up := m.pools()[i].strained() && m.others(i, (*poolView).relieves)
		past.step(up, m.Now)
		m.pools()[i].shed = float64(past.shed) * shedStep
		if !past.stepped.IsZero() {
			m.wake(past.stepped.Add(shedEvery))
		}
	}
}

// step moves the share by at most one step.
func (p *poolPast) step(up bool, now time.Time) {
	switch {
	case !up && p.shed == 0:
		p.stepped = time.Time{}
	case p.stepped.IsZero():
		p.stepped = now // the strain begins
	case now.Before(p.stepped.Add(shedEvery)):
	case up && p.shed < shedMost:
		p.shed, p.stepped = p.shed+1, now
	case !up:
		p.shed, p.stepped = p.shed-1, now
	}
}

// others says whether is holds for another pool than the i-th.
func (m *making) others(i int, is func(*poolView) bool) bool {
	for j := range m.pools() {
		if j != i && is(&m.pools()[j]) {
			return true
		}
	}
	return false
}

// strained says whether the pool has no room for new work.
func (v *poolView) strained() bool {
	full := len(v.serving) > 0
	for _, j := range v.serving {
		full = full && v.status[j].Load.Spare() == 0
	}
	return full || len(v.serving) > 0 && v.status[v.serving[0]].State == healthcheck.Overloaded
}

// relieves says whether the pool can take clients of another one.
func (v *poolView) relieves() bool {
	return v.in && len(v.serving) > 0 && v.status[v.serving[0]].State == healthcheck.Up && !v.strained()
}
