package steer

import (
	"slices"

	"switchpoint/healthcheck"
)

// resort brings last resorts in where nothing else is: see the table of verdicts. It says whether
// the name serves.
//
//	pools that are in by themselves    last resorts that can serve    result
//	some                               any                            as it is
//	only ones that are kept, some      any                            as it is
//	  with members that serve
//	none                               some                           those of the first kind that there are come in
//	none                               none                           the all-down policy
func (m *making) resort() bool {
	for i := range m.pools() {
		if v, h := &m.pools()[i], &m.health[i]; v.in && (v.verdict != kept || len(h.serving) > 0 && !h.ejected) {
			return true
		}
	}
	for _, kind := range resorts {
		some := false
		for i := range m.pools() {
			if v := &m.pools()[i]; v.verdict == kind && len(m.health[i].serving) > 0 {
				v.in, v.serving, some = true, m.health[i].serving, true
				v.why = "last resort: no other datacenter serves; " + v.why
				v.rule = v.why
			}
		}
		if some {
			return true
		}
	}
	return false
}

// allDown answers by the policy of the name. It applies at once, without any limit. For the policies
// that answer members:
//
//	policy       members that it answers, the first row that has some
//	last-good    those that served last, but for what people have taken out
//	             those that "all" answers
//	all          all but for what people have taken out
//	             all of the datacenters that neither operators nor the mode have taken out
//
// "fallback", "nodata" and "servfail" answer no member.
func (m *making) allDown() {
	m.policy = m.AllDown
	switch m.AllDown {
	case AllDownLastGood:
		good := func(i, j int) bool { return slices.Contains(m.past.pools[i].good, j) && m.mayServe(i, j) }
		if m.regardless("all members of the name are down: those that served last are answered all the same", good) {
			return
		}
	case AllDownAll:
	default:
		return
	}
	const rule = "all members of the name are down: they are answered all the same"
	if !m.regardless(rule, m.mayServe) {
		m.regardless(rule, func(int, int) bool { return true })
	}
}

// mayServe says whether a member is out for nothing but its health.
func (m *making) mayServe(i, j int) bool { return !isPlanned(&m.pools()[i].status[j]) }

// regardless makes every member serve that allowed accepts, whatever its health.
func (m *making) regardless(rule string, allowed func(i, j int) bool) bool {
	some := false
	for i := range m.pools() {
		v := &m.pools()[i]
		if v.verdict == forcedOut || v.verdict == otherMode {
			continue
		}
		for j := range v.status {
			if allowed(i, j) {
				v.serving = append(v.serving, j)
				v.in, v.rule, some = true, rule, true
			}
		}
	}
	return some
}

// knownToServe says whether members serve whose state is known and good.
func (v *poolView) knownToServe() bool {
	if !v.in || v.verdict == kept || len(v.serving) == 0 {
		return false
	}
	s := v.status[v.serving[0]].State
	return s == healthcheck.Up || s == healthcheck.Overloaded
}
