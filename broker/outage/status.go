package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker/outage/hostcache"
	"switchpoint/broker/outage/mode"
)

// Status is how a broker stands to its database, for operators.
type Status struct {
	Mode    mode.Mode `json:"mode"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	Refuses string    `json:"refuses,omitempty"` // why it serves nobody although its mode would
	Profile string    `json:"profile"`

	Answered time.Time `json:"answered"`          // when the database last took a write
	Failing  time.Time `json:"failing,omitzero"`  // since when it does not; zero: it does
	Why      string    `json:"why,omitempty"`     // the newest failure
	Peer     string    `json:"peer,omitempty"`    // a broker whose database answers meanwhile
	Breaker  bool      `json:"breaker,omitempty"` // calls do not wait for the database
	Hold     time.Time `json:"hold,omitzero"`     // the outage lasts until then at least, for the database flaps

	Unmerged  int              `json:"unmerged"`         // acts that are not in the database
	Refused   int              `json:"refused"`          // acts that it did not take
	Aside     []Aside          `json:"aside,omitempty"`  // the newest of those
	Handed    int64            `json:"handed"`           // acts that another broker has merged for this one since it was started
	Taken     int64            `json:"taken"`            // and this one for others
	Force     *mode.Force      `json:"force,omitempty"`  // what an operator has said
	HostCache hostcache.Status `json:"host_cache"`       // what there is to serve from
	Leases    LeaseStatus      `json:"leases"`           // what there is besides
	Winner    string           `json:"winner,omitempty"` // the one broker that serves in this outage; empty: every one does
	Lost      int64            `json:"copies_not_made"`  // of sessions, for want of room
}

// Aside is an act that the database never takes.
type Aside struct {
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	Why  string    `json:"why"`
}

// asideShown is how many of them a Status has.
const asideShown = 5

// Status says how things stand.
func (s *Store) Status(ctx context.Context) (Status, error) {
	state := s.State()
	aside, err := s.node.newestAside(ctx, asideShown)
	if err != nil {
		return Status{}, err
	}
	leases, winner := s.LeaseStatus(), ""
	if state.Mode.Local() {
		winner = s.winner(time.Now())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	force := s.facts.force
	if !force.Holds(time.Now()) {
		force = nil
	}
	return Status{
		Mode: state.Mode, Since: state.Since, Reason: state.Reason, Refuses: state.Refuses, Profile: s.profile.Name,
		Answered: s.facts.answered, Failing: s.facts.since, Why: s.facts.why, Peer: s.facts.peer, Breaker: s.breaker.open(), Hold: state.Hold,
		Unmerged: s.node.unmerged(), Refused: s.node.refused(), Aside: aside, Handed: s.handed.Load(), Taken: s.taken.Load(), Force: force, HostCache: s.cache.Status(), Leases: leases, Winner: winner, Lost: s.node.copies.lostSoFar(),
	}, nil
}

// ErrNothingToServeFrom refuses to force an outage that would lock everybody out.
var ErrNothingToServeFrom = errors.New("there is nothing to serve from")

// SetForce takes an operator's word, also over a restart; nil takes it back. An outage is not begun
// without anything to serve from.
func (s *Store) SetForce(ctx context.Context, f *mode.Force) error {
	if f != nil && f.On {
		if cache, why := s.cacheUsable(); !cache {
			if leases, none := s.leasesUsable(); !leases {
				return fmt.Errorf("%w: host cache: %s; leases: %s", ErrNothingToServeFrom, why, none)
			}
		}
	}
	if err := s.node.keep(ctx, keptForce, f); err != nil {
		return err
	}
	s.mu.Lock()
	s.facts.force = f
	s.mu.Unlock()
	if f == nil {
		s.log.Warn("outage: the operator's word is taken back")
	} else {
		s.log.Warn("outage: an operator has spoken", "on", f.On, "by", f.By, "why", f.Why, "until", f.Until)
	}
	return nil
}

// forcedOff says whether an operator keeps the broker out of an outage: then it goes by the database alone.
func (s *Store) forcedOff(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts.force
	return f.Holds(now) && !f.On
}

// HostCache is the copy that the broker serves from.
func (s *Store) HostCache() *hostcache.Cache { return s.cache }
