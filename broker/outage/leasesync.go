package outage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"switchpoint/broker"
)

const (
	leasePage = 1000 // leases of one question
	// leaseOverlap is how much earlier than its end a synchronisation begins that follows: see
	// broker.LeaseStore.
	leaseOverlap = time.Minute
	// leaseAnew is how old a copy gets before it is made anew, whatever was said to have changed: less than
	// the database keeps the marks of what was removed (broker.LeaseKeep).
	leaseAnew   = 24 * time.Hour
	leaseWithin = 5 * time.Minute  // one synchronisation
	leaseAsk    = 30 * time.Second // one question of it
)

// copyLeases keeps the copy of the leases until ctx ends. It asks the database and nobody else (LS3).
func (s *Store) copyLeases(ctx context.Context) {
	if err := s.readLeases(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("the copies of leases cannot be read", "error", err)
	}
	for wait := time.Duration(0); ; wait = s.o.Config.CacheEvery - rand.N(s.o.Config.CacheEvery/5+1) {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		before := s.LeaseStatus().Error
		out, err := s.syncLeases(ctx, false)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			s.log.Debug("leases are copied", "read", out.Read, "held", out.Held, "anew", out.Anew, "took", out.Took)
		case errors.Is(err, broker.ErrUnavailable) && before != "": // it was said already
		default:
			s.log.Warn("the copies of leases could not be brought up to date; what was there before goes on counting", "error", err)
		}
	}
}

// readLeases reads the whole copy once, so that it is known before an outage what of it is of no use.
func (s *Store) readLeases(ctx context.Context) error {
	return s.node.eachLease(ctx, leaseRow, func(broker.Lease) bool { return ctx.Err() == nil }, s.isBroken, time.Now().UnixMilli())
}

// syncLeases brings the copy up to date, or makes it anew.
func (s *Store) syncLeases(ctx context.Context, anew bool) (out LeaseSync, err error) {
	c := s.leases
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return out, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, leaseWithin)
	defer cancel()
	began := time.Now()
	out, err = s.copyNow(ctx, anew, began)
	out.Took = time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried, c.err = began, err
	s.metrics.leaseSyncs.WithLabelValues(syncResult(err)).Inc()
	return out, err
}

func syncResult(err error) string {
	switch {
	case err == nil:
		return "copied"
	case errors.Is(err, broker.ErrUnavailable):
		return "unavailable"
	}
	return "failed"
}

// copyNow copies what serving from leases needs: the setup, who the other brokers are, who is blocked, and the
// leases.
func (s *Store) copyNow(ctx context.Context, anew bool, began time.Time) (out LeaseSync, err error) {
	c := s.leases
	c.mu.Lock()
	state, broken, of := c.state, len(c.broken), c.of
	c.mu.Unlock()
	if of == "" {
		return out, errNoMember
	}
	unfit, err := s.copySetup(ctx, state.Of == of)
	if err != nil {
		return out, err
	}
	if err := s.copyBrokers(ctx); err != nil {
		return out, err
	}
	if err := s.copyBlocks(ctx); err != nil {
		return out, err
	}
	out.Anew = anew || broken > 0 || state.Of != of || began.Sub(state.Full) > leaseAnew
	from := state.Cursor
	from.Changed, from.Key = from.Changed.Add(-leaseOverlap), ""
	if out.Anew {
		from = broker.LeaseCursor{}
		state.Run++
	}
	if state.Of != of { // those of another cluster count no longer
		state.Synced, state.Cursor = time.Time{}, broker.LeaseCursor{}
		if err := s.node.endLeases(ctx, state, true, began); err != nil {
			return out, err
		}
	}
	if out.Read, state.Cursor, err = s.copyPages(ctx, from, state, out.Anew); err != nil {
		return out, err
	}
	if state.Of, state.Synced = of, began; out.Anew {
		state.Full = began
	}
	if err := s.node.endLeases(ctx, state, out.Anew, time.Now()); err != nil {
		return out, err
	}
	if out.Held, err = s.node.countLeases(ctx, time.Now()); err != nil {
		return out, err
	}
	c.mu.Lock()
	c.state, c.held = state, out.Held
	if out.Anew {
		clear(c.broken)
	}
	c.mu.Unlock()
	if !s.cacheTells() {
		unfit = errors.Join(s.endCopies(ctx, began), unfit)
	}
	return out, unfit
}

// copyPages copies what has changed after from. How far it has come counts over a restart, but not where the
// copy is made anew: then it begins again.
func (s *Store) copyPages(ctx context.Context, from broker.LeaseCursor, state copyState, anew bool) (read int, next broker.LeaseCursor, err error) {
	next = from
	for {
		ask, cancel := context.WithTimeout(ctx, leaseAsk)
		var page []broker.Lease
		page, next, err = s.Primary.LeasesAfter(ask, next, leasePage)
		cancel()
		if err != nil {
			return read, next, fmt.Errorf("ask for leases: %w", err)
		}
		if !anew && next.Changed.After(state.Cursor.Changed) {
			state.Cursor = next
		}
		if err := s.node.putLeases(ctx, page, state, time.Now()); err != nil {
			return read, next, err
		}
		if read += len(page); len(page) < leasePage {
			break
		}
	}
	if next.Changed.Before(state.Cursor.Changed) && !anew { // nothing new within the overlap
		next = state.Cursor
	}
	return read, next, nil
}

// copySetup copies the setup when it has changed; same says that the one at hand is of this cluster. One
// that no broker could serve with does not replace the one before, and unfit says why.
func (s *Store) copySetup(ctx context.Context, same bool) (unfit, err error) {
	ask, cancel := context.WithTimeout(ctx, leaseAsk)
	defer cancel()
	version, err := s.Primary.SetupVersion(ask)
	if err != nil {
		return nil, fmt.Errorf("copy the setup: %w", err)
	}
	c := s.leases
	c.mu.Lock()
	same = same && c.setup != nil && c.setup.Version == version
	c.mu.Unlock()
	if same || version == 0 {
		return nil, nil
	}
	var v keptVersion
	if v.Setup, v.Version, err = s.Primary.Setup(ask); err != nil {
		return nil, fmt.Errorf("copy the setup: %w", err)
	}
	if s.o.Check != nil {
		if err := s.o.Check(v.Setup); err != nil {
			return fmt.Errorf("no broker can serve with the setup of version %d: %w", v.Version, err), nil
		}
	}
	v.Setup.Desktops, v.Setup.Assignments = nil, nil // the leases have those that count
	if err := s.node.keep(ctx, keptSetup, v); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.setup = &v
	c.mu.Unlock()
	return nil, nil
}

// copyBrokers copies who the other brokers are: one that starts in an outage knows whom to ask about
// their sessions.
func (s *Store) copyBrokers(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, leaseAsk)
	defer cancel()
	list, err := s.Primary.Brokers(ask)
	if err != nil {
		return fmt.Errorf("copy the list of brokers: %w", err)
	}
	s.brokers.Store(&list)
	return s.node.keep(ctx, keptBrokers, list)
}
