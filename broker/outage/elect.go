package outage

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// electHeard is for how long a broker that does not answer any more is still counted: one lost answer is no
// death, and the next one in line serves within 3 s.
const electHeard = 1500 * time.Millisecond

// elect picks the one broker that serves in an outage (HC5, DC6): the first by name, or by capacity and
// then by name, of those that are in the outage and have something to serve from. It is a pure function of
// what the brokers say of themselves, so brokers that hear each other come to the same answer. With nobody
// to pick it is "".
func elect(brokers []Peer, by string) string {
	able := slices.DeleteFunc(slices.Clone(brokers), func(p Peer) bool { return !p.Able || !p.Mode.Local() })
	if len(able) == 0 {
		return ""
	}
	return slices.MinFunc(able, func(a, b Peer) int {
		if by == broker.ElectCapacity && a.Capacity != b.Capacity {
			return cmp.Compare(b.Capacity, a.Capacity)
		}
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.Name, b.Name))
	}).Name
}

// winner is the broker that serves in this outage alone; "": every one does.
func (s *Store) winner(now time.Time) string {
	if s.o.Config.Serve != broker.ServeElected {
		return ""
	}
	self := s.Peer()
	if !self.Mode.Local() {
		self.Mode = mode.HostCache // the question is who would serve
	}
	brokers := []Peer{self}
	s.mu.Lock()
	for _, h := range s.facts.heard {
		if now.Sub(h.at) < electHeard {
			brokers = append(brokers, h.Peer)
		}
	}
	s.mu.Unlock()
	return elect(brokers, s.o.Config.Elect)
}

// tellElection logs who serves, when that has changed.
func (s *Store) tellElection(was, next mode.State) {
	switch {
	case s.o.Config.Serve != broker.ServeElected || next.Mode != mode.HostCache && next.Mode != mode.Leased:
	case next.Refuses != "" && next.Refuses != was.Refuses:
		s.log.Warn("outage: this broker refuses", "reason", next.Refuses, "event_id", eventElected)
	case next.Refuses == "" && (was.Refuses != "" || !was.Mode.Local()):
		s.log.Warn("outage: this broker is elected to serve", "elect", s.o.Config.Elect, "event_id", eventElected)
	}
}
