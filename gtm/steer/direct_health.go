package steer

import (
	"fmt"
	"math"
	"slices"

	"switchpoint/healthcheck"
	"switchpoint/healthcheck/isalive"
)

// health is what the states of its members make of a pool. By the first row that applies, where
// need = ceil(up_thresh * members) and a member is out when it is down, draining or in maintenance,
// and planned when it is out by a person's word: draining, maintenance, or an override. One that steps aside,
// as a broker does that alone has lost its database, goes the same way: it refuses everybody, by its own word.
//
//	nobody may be answered, every member planned      planned
//	nobody may be answered                            ill
//	nobody but members that step aside                planned
//	nobody but members whose state is unknown         unclear
//	nobody but members whose traffic fails            ill
//	members - out >= need                             well
//	members - (out but not planned) >= need           planned
//	otherwise                                         ill
//
// Overloaded counts as up: overload never takes a pool out (HK4). What people plan starts no hold
// and no failback delay, and is not limited.
type health uint8

const (
	well health = iota
	ill
	planned
	unclear
)

// measurement is the health of a pool with its facts.
type measurement struct {
	health  health
	serving []int
	rule    string // why these serve
	ejected bool   // those are down and serve only because their traffic fails
	aside   bool   // those step aside
	up      int    // members that are not out
	need    int    // how many the threshold wants
}

// measure is pure but for room, where the result's serving is written.
func measure(room []int, upThresh float64, status []healthcheck.Status) measurement {
	m := measurement{need: int(math.Ceil(upThresh * float64(len(status))))}
	m.serving, m.rule = healthcheck.Serving(room[:0], status)
	meant := 0
	for i := range status {
		switch {
		case isPlanned(&status[i]):
			meant++
		case status[i].State != healthcheck.Down:
			m.up++
		}
	}
	first := healthcheck.Unknown
	if len(m.serving) > 0 {
		first = status[m.serving[0]].State // Serving never mixes states
		m.aside = stepsAside(&status[m.serving[0]])
	}
	m.ejected = first == healthcheck.Down
	switch {
	case len(m.serving) == 0 && meant == len(status):
		m.health = planned
	case len(m.serving) == 0 || m.ejected:
		m.health = ill
	case m.aside:
		m.health = planned
	case first == healthcheck.Unknown:
		m.health = unclear
	case m.up >= m.need:
		m.health = well
	case m.up+meant >= m.need:
		m.health = planned
	default:
		m.health = ill
	}
	return m
}

// prefer leaves only the members that serve and are good too, where there are some. Of members of which
// nothing is known yet, after a restart or under a new monitor, those that served last are the best guess.
func (m *measurement) prefer(good []int) {
	isGood := func(j int) bool { return slices.Contains(good, j) }
	if slices.ContainsFunc(m.serving, isGood) {
		m.serving = slices.DeleteFunc(m.serving, func(j int) bool { return !isGood(j) })
	}
}

// isPlanned says whether a member is out because a person said so, or it does itself.
func isPlanned(s *healthcheck.Status) bool {
	switch s.State {
	case healthcheck.Draining, healthcheck.Maintenance:
		return true
	case healthcheck.Overloaded:
		return stepsAside(s)
	case healthcheck.Down:
		return s.Source == healthcheck.FromOverride
	}
	return false
}

func stepsAside(s *healthcheck.Status) bool {
	return s.State == healthcheck.Overloaded && isalive.StepsAside(s.Load.Mode)
}

// thin says by how much a pool is below its threshold.
func (m *measurement) thin(members int) string {
	return fmt.Sprintf("%d of %d members are up, up_thresh wants %d", m.up, members, m.need)
}
