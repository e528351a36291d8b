package outage

import (
	"context"
	"errors"
	"slices"
	"time"

	"switchpoint/broker"
)

const (
	keptMember = "member"        // what the database said when this broker joined
	joinWait   = 5 * time.Second // for a database that has to be migrated first, or does not answer
	// heardFor is how long a broker that answered another one counts as live.
	heardFor = 3 * time.Second
)

// member is a Membership as node.db keeps it.
type member struct {
	Node       broker.Node
	Membership broker.Membership
}

// Join implements broker.Store. A broker that starts while its database is away goes on with the place
// in the cluster that it had; the first beat that reaches the database says whether it still has it.
func (s *Store) Join(ctx context.Context, n broker.Node, proposal broker.Cluster, live time.Duration) (broker.Membership, error) {
	bounded, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	m, err := s.Primary.Join(bounded, n, proposal, live)
	switch {
	case err == nil:
		s.learn(time.Now(), time.Now(), nil) // it took a write; on a slow machine that is a while after New
		s.leases.joined(m.Cluster)
		if kept := s.node.keep(ctx, keptMember, member{n, m}); kept != nil {
			s.log.Warn("a start without the database will not be possible", "error", kept)
		}
		return m, nil
	case !errors.Is(err, broker.ErrUnavailable):
		return m, err
	}
	var was member
	found, kerr := s.node.kept(ctx, keptMember, &was)
	if kerr != nil || !found || was.Node.SiteID != n.SiteID || was.Membership.Cluster.Name != proposal.Name {
		return m, errors.Join(err, kerr)
	}
	if _, ferr := s.filesFor(ctx); ferr != nil {
		return m, errors.Join(err, ferr)
	}
	s.log.Warn("the database does not answer: the broker starts from its files", "error", err)
	s.learn(time.Now().Add(-s.profile.Lost), time.Now(), err)
	return was.Membership, nil
}

// Heartbeat implements broker.Store. In an outage the prober asks instead, and what it is told about
// the place in the cluster is told here.
func (s *Store) Heartbeat(ctx context.Context, m broker.Membership, b broker.Beat) error {
	_, err := call(ctx, s, reading,
		func(ctx context.Context) (none, error) { return none{}, s.Primary.Heartbeat(ctx, m, b) },
		func(context.Context, *local) (none, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return none{}, s.facts.fenced
		})
	return err
}

// Setup implements broker.Store.
func (s *Store) Setup(ctx context.Context) (broker.Setup, int64, error) {
	type versioned struct {
		setup   broker.Setup
		version int64
	}
	v, err := call(ctx, s, reading,
		func(ctx context.Context) (v versioned, err error) {
			v.setup, v.version, err = s.Primary.Setup(ctx)
			return v, err
		},
		func(ctx context.Context, l *local) (v versioned, err error) {
			v.setup, v.version, err = l.cache.Setup(ctx)
			return v, err
		})
	return v.setup, v.version, err
}

// SetupVersion implements broker.Store.
func (s *Store) SetupVersion(ctx context.Context) (int64, error) {
	return call(ctx, s, reading, s.Primary.SetupVersion, func(ctx context.Context, l *local) (int64, error) { return l.cache.SetupVersion(ctx) })
}

// Brokers implements broker.Store: in an outage the brokers that were there before it, and of them those
// live that answer over the peer channel.
func (s *Store) Brokers(ctx context.Context) ([]broker.NodeStatus, error) {
	return call(ctx, s, reading,
		func(ctx context.Context) ([]broker.NodeStatus, error) {
			list, err := s.Primary.Brokers(ctx)
			if err == nil {
				s.brokers.Store(&list)
			}
			return list, err
		},
		func(ctx context.Context, l *local) ([]broker.NodeStatus, error) {
			if known := s.brokers.Load(); known != nil {
				return s.judgeLive(slices.Clone(*known)), nil
			}
			list, err := l.cache.Brokers(ctx)
			return s.judgeLive(list), err
		})
}

// judgeLive says of each broker whether it lives, as far as that was asked.
func (s *Store) judgeLive(list []broker.NodeStatus) []broker.NodeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		n := &list[i]
		if n.Name == s.o.Name {
			n.Live = true
		} else if heard, ok := s.facts.heard[n.Name]; ok {
			n.Live = time.Since(heard.at) < heardFor
		}
	}
	return list
}
