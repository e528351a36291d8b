package outage

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"switchpoint/broker/outage/mode"
)

const (
	judgeEvery = 100 * time.Millisecond
	askPeers   = 300 * time.Millisecond // DC7: a peer that has the database says so by then
	sweepEvery = 30 * time.Second
	// copyMargin is how much older than the host cache a copy has to be to be in it for certain.
	copyMargin = 15 * time.Second
	// keptForce is the name under which node.db remembers an operator's word.
	keptForce = "force"
)

// watch asks the database for a write again and again, the other brokers when there is none, and keeps
// the mode as that says.
func (s *Store) watch(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { s.probe(ctx); return nil })
	g.Go(func() error { s.lookAround(ctx); return nil })
	g.Go(func() error { s.judge(ctx); return nil })
	g.Go(func() error { s.tend(ctx); return nil })
	g.Go(func() error { s.housekeep(ctx); return nil })
	return g.Wait()
}

// probe asks the database every Beat, and at once when a call got no answer.
func (s *Store) probe(ctx context.Context) {
	t := time.NewTicker(s.profile.Beat)
	defer t.Stop()
	for {
		asked := time.Now()
		bounded, cancel := context.WithTimeout(ctx, s.profile.Wait)
		err := s.o.Beat(bounded)
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.learn(asked, time.Now(), err)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.wake:
		}
	}
}

// lookAround asks the other brokers while the database does not answer here, and as long as their
// sessions can be asked for nowhere else.
func (s *Store) lookAround(ctx context.Context) {
	every(ctx, judgeEvery, func(time.Time) {
		s.mu.Lock()
		since := s.facts.since
		s.mu.Unlock()
		if since.IsZero() && !s.State().Mode.Local() || s.o.AskPeers == nil {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, askPeers)
		peers := s.o.AskPeers(bounded)
		cancel()
		name, now := hasDatabase(peers, time.Since(since), 2*s.profile.Beat), time.Now()
		s.mu.Lock()
		for _, p := range peers {
			if p.Name != "" && p.Name != s.o.Name { // else it is nobody's word, or this broker's own
				s.facts.heard[p.Name] = heard{p, now}
			}
		}
		if !s.facts.since.IsZero() {
			s.facts.peer = name
		}
		s.mu.Unlock()
	})
}

// hasDatabase finds a broker that is normal and whose database has answered lately: after the first
// question was asked that this broker got no answer to, failing ago, or there is nothing to choose
// between the two.
func hasDatabase(peers []Peer, failing, lately time.Duration) string {
	for _, p := range peers {
		if p.Mode == mode.Normal && p.Answered >= 0 && p.Answered < min(failing, lately) {
			return p.Name
		}
	}
	return ""
}

// Peer is what this broker says of itself to another one.
func (s *Store) Peer() Peer {
	p := Peer{Name: s.o.Name, Mode: s.State().Mode, Answered: -1, Unmerged: s.node.unmerged()}
	cache, _ := s.cacheUsable()
	leases, _ := s.leasesUsable()
	p.Able = cache || leases
	if s.o.Capacity != nil {
		p.Capacity = s.o.Capacity()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.facts.answered.IsZero() {
		p.Answered = time.Since(s.facts.answered)
	}
	return p
}

// wakeUp has the database asked at once.
func (s *Store) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// judge keeps the mode.
func (s *Store) judge(ctx context.Context) {
	every(ctx, judgeEvery, func(now time.Time) {
		s.step(now)
		s.releaseFiles(now)
	})
}

// step goes on to the mode of this moment. From serving out of the files it goes to normal only while no
// call is served from them, and only when the journal is empty then.
func (s *Store) step(now time.Time) {
	was := s.State()
	next := s.profile.Next(was, s.gather(), now)
	leaves := was.Mode.Local() && next.Mode == mode.Normal
	if leaves {
		s.gate.Lock()
		defer s.gate.Unlock()
	}
	s.advance(now, leaves)
}

// advance takes the step; gated says that no call is served from the files meanwhile.
func (s *Store) advance(now time.Time, gated bool) {
	s.turn.Lock()
	defer s.turn.Unlock()
	was := s.State()
	next := s.profile.Next(was, s.gather(), now)
	if was.Mode.Local() && next.Mode == mode.Normal && !gated {
		return // with the next step
	}
	s.state.Store(&next)
	if next.Mode == mode.Recovering {
		select {
		case s.merge <- struct{}{}:
		default:
		}
	}
	if next.Mode != was.Mode {
		s.writeAnew() // from here on others are asked, or it is tried again
		s.tell(was, next)
	}
	s.tellElection(was, next)
}

// gather says what is known now.
func (s *Store) gather() mode.Facts {
	f := mode.Facts{Unmerged: s.node.unmerged(), Self: s.o.Name, Winner: s.winner(time.Now())}
	f.Cache.Usable, f.Cache.Why = s.cacheUsable()
	f.Leases.Usable, f.Leases.Why = s.leasesUsable()
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Answered, f.Good, f.Why, f.Peer, f.Force = s.facts.answered, s.facts.good, s.facts.why, s.facts.peer, s.facts.force
	return f
}

// housekeep forgets what was copied before the host cache was last brought up to date, and copies of sessions
// that are over, and leaves no more of an outage on the disk than is needed.
func (s *Store) housekeep(ctx context.Context) {
	every(ctx, sweepEvery, func(now time.Time) {
		if current := s.cache.Status().Current; s.State().Mode == mode.Normal {
			s.node.copies.forget(current.Add(-copyMargin))
		}
		if err := s.node.sweep(ctx, now); err != nil && ctx.Err() == nil {
			s.log.Warn("copies of old sessions could not be removed", "error", err)
		}
		s.giveBack(ctx)
	})
}

// every does something again and again until ctx ends.
func every(ctx context.Context, d time.Duration, do func(now time.Time)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			do(now)
		}
	}
}
