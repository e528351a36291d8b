package healthcheck

import (
	"context"
	"sync"
)

// Subscription follows the snapshots. A reader that is slower than the changes gets the newest
// one and is told how many it did not see. It must be closed.
type Subscription struct {
	e    *Engine
	more chan struct{}
	mu   sync.Mutex
	seen uint64
}

// Subscribe follows the snapshots from the present one on.
func (e *Engine) Subscribe() *Subscription {
	s := &Subscription{e: e, more: make(chan struct{}, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.seen = e.Snapshot().Seq()
	e.subs[s] = struct{}{}
	return s
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	delete(s.e.subs, s)
}

// Next waits for a snapshot that is newer than the last one it gave, and says how many between
// the two were skipped. Its error is that of ctx.
func (s *Subscription) Next(ctx context.Context) (snap *Snapshot, skipped uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if snap = s.e.Snapshot(); snap.Seq() > s.seen {
			skipped = snap.Seq() - s.seen - 1
			s.seen = snap.Seq()
			return snap, skipped, nil
		}
		select {
		case <-s.more:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// tellSubscribers wakes them all; none can hold the engine up. e.mu is held.
func (e *Engine) tellSubscribers() {
	for s := range e.subs {
		select {
		case s.more <- struct{}{}:
		default:
		}
	}
}
