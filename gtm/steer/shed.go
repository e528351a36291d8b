package steer

import (
	"slices"
	"time"

	"switchpoint/healthcheck"
)

// Shifting moves clients in small steps: gtm moves at most 20 % of a datacenter's load per minute
// (HK4). With the steps at least shedEvery apart, four of them fit into a minute, and what is over
// within one moves nobody.
const (
	shedEvery = 15 * time.Second
	shedStep  = 0.05
	// shedMost is the most steps: some clients always stay, so that overload never empties a pool.
	shedMost = 19
)

// cause is why clients of a pool go elsewhere.
type cause uint8

const (
	comesBack   cause = iota // no more: they come back
	forOverload              // HK4
	forMode                  // its members work without their database (DC7)
)

// shift decides the share of clients that goes elsewhere. A pool is strained when all that serve in it
// are overloaded, or all report a capacity that is used up; a pool is a relief when it is in, not
// strained, and has a member that is up. With prefer_normal it is cut off when members of it are up, and
// all of those that serve say another mode than normal; it is whole when one of them says normal. Of
// a pool whose members say nothing neither is known.
//
//	pool        others                        result
//	is out      any                           0
//	any         none is in                    0 at once: what its clients were moved to is gone
//	strained    one is a relief               one step more, the first one a step time after it began
//	cut off     one is, and is whole          one step more, the first one a step time after it began
//	otherwise   any is in                     one step less
//
// A step is made no sooner than shedEvery after the last one, in either direction. Two pools never send
// each other their clients: a strained one is no relief, and one cut off relieves only the strained.
func (m *making) shift() {
	for i := range m.pools() {
		past := &m.past.pools[i]
		if !m.pools()[i].in || m.policy != "" || !m.others(i, func(v *poolView) bool { return v.in }) {
			past.shed, past.stepped = 0, time.Time{}
			continue
		}
		v := &m.pools()[i]
		v.cause = m.causeOf(i)
		past.step(v.cause != comesBack, m.Now)
		v.shed = float64(past.shed) * shedStep
		if !past.stepped.IsZero() {
			m.wake(past.stepped.Add(shedEvery))
		}
	}
}

// causeOf says why one step more is made, if it is.
func (m *making) causeOf(i int) cause {
	v := &m.pools()[i]
	switch {
	case v.strained() && m.others(i, (*poolView).relieves):
		return forOverload
	case m.PreferNormal && v.cutOff() && m.others(i, (*poolView).restores):
		return forMode
	}
	return comesBack
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

// cutOff says whether members are up and serve, and all of these say another mode than normal.
func (v *poolView) cutOff() bool {
	isKnown := func(j int) bool { return !v.status[j].Load.Abnormal() }
	return len(v.serving) > 0 && v.status[v.serving[0]].State == healthcheck.Up && !slices.ContainsFunc(v.serving, isKnown)
}

// restores says whether the pool relieves, and a member that serves is in mode normal.
func (v *poolView) restores() bool {
	return v.relieves() && slices.ContainsFunc(v.serving, func(j int) bool { return v.status[j].Load.Normal() })
}

// String says it of a pool that sheds.
func (c cause) String() string {
	switch c {
	case forOverload:
		return "is overloaded"
	case forMode:
		return "works without its database"
	}
	return "takes its clients back"
}

// whyMoved says it of a client.
func (c cause) whyMoved() string {
	switch c {
	case forOverload:
		return "for overload"
	case forMode:
		return "for members that have their database (prefer_normal)"
	}
	return "as it takes its clients back little by little"
}
