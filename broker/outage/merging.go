package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

const (
	mergeMost   = 500 // acts of one batch
	mergeWithin = 10 * time.Second
	mergeAgain  = 3 * time.Second // after a batch that the database did not take
	// lastBatch is how few acts may be left for the last of them to be merged while local calls wait.
	lastBatch  = 50
	lastWithin = 3 * time.Second // for those
	// lastRounds is after how many batches that left nothing behind few acts have come to stay.
	lastRounds = 3
)

// mergeWhenAsked brings the journal into the database while the mode is recovering.
func (s *Store) mergeWhenAsked(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.merge:
		}
		if err := s.mergeAll(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("outage: merging has to wait", "left", s.node.unmerged(), "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(mergeAgain):
			}
		}
	}
}

// mergeAll merges batch by batch until few acts are left, and those while nothing is added. On a busy
// broker as many come during a batch as it merges: then few is what that leaves.
func (s *Store) mergeAll(ctx context.Context) error {
	for caughtUp := 0; s.State().Mode == mode.Recovering; {
		n, err := s.mergeBatch(ctx)
		if err != nil {
			return err
		}
		if n < mergeMost {
			caughtUp++
		}
		if n <= lastBatch || caughtUp >= lastRounds {
			return s.mergeLast(ctx)
		}
	}
	return nil
}

// mergeLast ends the recovery: local calls wait meanwhile, so a database that has become slow by then has
// to wait itself, for the next attempt.
func (s *Store) mergeLast(ctx context.Context) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	bounded, cancel := context.WithTimeout(ctx, lastWithin)
	defer cancel()
	for s.node.unmerged() > 0 {
		if n, err := s.mergeBatch(bounded); err != nil || n == 0 {
			return err
		}
	}
	s.advance(time.Now(), true)
	return nil
}

// mergeBatch merges the oldest acts and returns how many are no longer in the journal.
func (s *Store) mergeBatch(ctx context.Context) (int, error) {
	list, err := s.node.oldest(ctx, mergeMost)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return len(list), s.mergeList(ctx, list)
}

// mergeList merges acts and forgets them. A list that the database does not take is merged in halves, so
// that those that it never takes are found soon; they are set aside.
func (s *Store) mergeList(ctx context.Context, list []entry) error {
	err := s.give(ctx, list)
	switch {
	case err == nil:
	case errors.Is(err, broker.ErrUnavailable):
		return err
	case len(list) > 1:
		half := len(list) / 2
		if err := s.mergeList(ctx, list[:half]); err != nil {
			return err
		}
		return s.mergeList(ctx, list[half:])
	default:
		if kept := s.node.setAside(ctx, list[0], err.Error()); kept != nil {
			return fmt.Errorf("set act %d aside: %w", list[0].seq, kept)
		}
		s.log.Error("outage: an act could not be merged and is set aside", "act", list[0].seq, "kind", list[0].act.Kind, "error", err)
	}
	return s.node.drop(ctx, list[len(list)-1].seq)
}

// give hands acts to the database.
func (s *Store) give(ctx context.Context, list []entry) error {
	acts := make([]broker.Act, len(list))
	for i, e := range list {
		if e.err != nil {
			return e.err
		}
		acts[i] = e.act
	}
	bounded, cancel := context.WithTimeout(ctx, mergeWithin)
	defer cancel()
	err := s.Primary.MergeActs(bounded, acts)
	if ctx.Err() == nil { // else it was not given its time
		s.noteWrite(err)
	}
	return err
}
