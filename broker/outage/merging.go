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
	lastBatch = 50
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

// mergeAll merges batch by batch until few acts are left, and those while nothing is added.
func (s *Store) mergeAll(ctx context.Context) error {
	for s.State().Mode == mode.Recovering {
		n, err := s.mergeBatch(ctx)
		if err != nil {
			return err
		}
		if n > lastBatch {
			continue
		}
		return s.mergeLast(ctx)
	}
	return nil
}

// mergeLast ends the recovery: local calls wait meanwhile.
func (s *Store) mergeLast(ctx context.Context) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	for s.node.unmerged() > 0 {
		if n, err := s.mergeBatch(ctx); err != nil || n == 0 {
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
	acts := make([]broker.Act, len(list))
	for i := range list {
		acts[i] = list[i].act
	}
	bounded, cancel := context.WithTimeout(ctx, mergeWithin)
	defer cancel()
	err = s.Primary.MergeActs(bounded, acts)
	if ctx.Err() == nil {
		s.noteWrite(err)
	}
	switch {
	case errors.Is(err, broker.ErrUnavailable):
		return 0, err
	case err != nil:
		if err := s.mergeEach(bounded, list); err != nil {
			return 0, err
		}
	}
	return len(list), s.node.drop(ctx, list[len(list)-1].seq)
}

// mergeEach merges act by act where a batch was refused, and sets aside those that the database does
// not take.
func (s *Store) mergeEach(ctx context.Context, list []entry) error {
	for _, e := range list {
		err := s.Primary.MergeActs(ctx, []broker.Act{e.act})
		switch {
		case err == nil:
		case errors.Is(err, broker.ErrUnavailable):
			return err
		default:
			if kept := s.node.setAside(ctx, e, err.Error()); kept != nil {
				return fmt.Errorf("set act %d aside: %w", e.seq, kept)
			}
			s.log.Error("outage: an act could not be merged and is set aside", "act", e.seq, "kind", e.act.Kind, "error", err)
		}
	}
	return nil
}
