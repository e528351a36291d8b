package steer

import (
	"time"
)

// verdict is which row of the table decided about a pool. The first that applies:
//
//	row               when                                              result    last resort
//	forced up         an operator says up, and not down of all in it    in        -
//	forced out        an operator says down, draining or maintenance    out       never
//	mode              it belongs to another mode of operation           out       never
//	demotion limit    it is ill, and too many others went just now      in        -
//	down              nobody in it may be answered                      out       never
//	unknown           no state is known yet                             out       fourth; it went
//	                                                                              because of its health
//	                                                                              before: fifth
//	traffic           all are down, some only because traffic fails     out       sixth
//	aside             all who could serve step aside: they refuse       out       seventh
//	manual resume     it went because of its health, nobody released    out       third
//	failback delay    it is well again, not for long enough             out       second
//	threshold         fewer members are up than up_thresh wants         out       first
//	in                otherwise                                         in        -
//
// When no pool is in (one that the demotion limit keeps with dead members does not count), the pools of the first
// kind of last resort that there are come in after all: a hold never darkens a name. When there are
// none either, the all-down policy applies.
type verdict uint8

const (
	takesPart verdict = iota
	forcedUp
	forcedOut
	otherMode
	kept
	nobody
	held
	waiting
	unknown
	unknownGone // unknown, and gone when it was known last
	trafficFails
	allAside
	belowThreshold
)

// String gives the word of the row.
func (v verdict) String() string {
	return [...]string{
		"in", "forced up", "forced out", "mode", "demotion limit", "down", "manual resume",
		"failback delay", "unknown", "unknown", "traffic", "aside", "threshold",
	}[v]
}

// resorts are the kinds of last resort, the best first.
var resorts = [...]verdict{belowThreshold, waiting, held, unknown, unknownGone, trafficFails, allAside}

// decide finds the row of a pool. demote and comeBack have brought its past up to date.
func (m *making) decide(i int) {
	p, v, h, past := &m.name.pools[i], &m.pools()[i], &m.health[i], &m.past.pools[i]
	said := m.words.about(p, "")
	v.serving, v.rule, v.in = h.serving, h.rule, true
	switch {
	case said != nil && !said.out() && len(h.serving) > 0:
		v.verdict, v.why = forcedUp, said.said()
	case said != nil && said.out():
		v.out(forcedOut, said.said())
	case !m.inMode(p):
		v.out(otherMode, "it serves in mode "+p.Mode+", and the mode of operation is "+m.Operator.mode())
	case v.verdict == kept: // by demote
		m.keep(i)
	case len(h.serving) == 0:
		v.out(nobody, h.rule+m.afterwards(past))
	case h.health == unclear && past.gone:
		v.out(unknownGone, "nothing is known of the datacenter yet, and it was out because of its health before")
	case h.health == unclear:
		h.prefer(past.good)
		v.out(unknown, "nothing is known of the datacenter yet")
	case h.ejected:
		v.out(trafficFails, "all its members are down, some only because their traffic fails")
	case h.aside:
		v.out(allAside, "its members step aside: they leave their work to those who have their database")
	case past.gone && past.held:
		v.out(held, "it went out because of its health, and waits since then for an operator to release it (manual_resume); now: "+h.rule)
	case past.gone && !past.well.IsZero():
		v.out(waiting, "it is well since "+clock(past.well)+" and takes part again after failback_delay = "+m.FailbackDelay.String())
	case h.health != well:
		v.out(belowThreshold, h.thin(len(p.members)))
	}
}

// out takes the pool out. What it could serve stays with the measurement.
func (v *poolView) out(by verdict, why string) {
	v.verdict, v.in, v.serving = by, false, nil
	v.why, v.rule = why, why
}

// afterwards says what a pool without members will wait for when it has some again.
func (m *making) afterwards(past *poolPast) string {
	if past.gone && past.held {
		return "; then it stays out until an operator releases it (manual_resume)"
	}
	return ""
}

// inMode says whether the pool belongs to the mode of operation in force. A name that has no pool of
// that mode has nothing to switch to: it goes on as it is.
func (n *name) inMode(p *pool, mode string) bool {
	if n.Between != BetweenMode || p.Mode == mode {
		return true
	}
	for i := range n.pools {
		if n.pools[i].Mode == mode {
			return false
		}
	}
	return true
}

func (m *making) inMode(p *pool) bool { return m.name.inMode(p, m.Operator.mode()) }

// clock writes a time as reasons have it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }
