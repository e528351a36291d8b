package outage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

const (
	mergeMost   = 500       // acts of one batch
	batchBytes  = 512 << 10 // of their text: a call between brokers carries 1 MiB, and an act may have 300 blocks
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
		left := s.node.unmerged()
		if left < mergeMost {
			caughtUp++
		}
		if n == 0 || left <= lastBatch || caughtUp >= lastRounds {
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
	select {
	case s.oldest <- struct{}{}:
		defer func() { <-s.oldest }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	list, err := s.node.oldest(ctx, mergeMost)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	list = list[:max(1, batchable(list))]
	return len(list), inHalves(list,
		func(few []entry) error { return s.give(ctx, few) },
		func(few []entry) error { return s.node.drop(ctx, few[len(few)-1].seq) },
		func(e entry, why error) error { return s.putAside(ctx, e, why) })
}

// batchable is how many acts, from the first, make one batch: no more than a call between brokers carries
// or the database takes in time, and none that cannot be read. One that is too long by itself is a batch of its own.
func batchable(list []entry) int {
	size := 0
	for i, e := range list {
		if size += len(e.text); e.err != nil || i > 0 && size > batchBytes {
			return i
		}
	}
	return len(list)
}

// inHalves gives what is in a list and says done of what was taken, in its order. A list that is not taken is
// given in halves, so that those that are never taken are found soon; of each of them it says refused. What
// cannot be given now ends it.
func inHalves[T any](list []T, give, done func([]T) error, refused func(T, error) error) error {
	err := give(list)
	switch {
	case err == nil:
	case errors.Is(err, broker.ErrUnavailable):
		return err
	case len(list) > 1:
		half := len(list) / 2
		if err := inHalves(list[:half], give, done, refused); err != nil {
			return err
		}
		return inHalves(list[half:], give, done, refused)
	default:
		if err := refused(list[0], err); err != nil {
			return err
		}
	}
	return done(list)
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
	err := s.mergeBounded(ctx, acts)
	if ctx.Err() == nil { // else it was not given its time
		s.noteWrite(err)
	}
	return err
}

func (s *Store) mergeBounded(ctx context.Context, acts []broker.Act) error {
	bounded, cancel := context.WithTimeout(ctx, mergeWithin)
	defer cancel()
	return s.Primary.MergeActs(bounded, acts)
}

// putAside keeps an act that the database never takes, with the reason, and says so in the log of the
// cluster. It is to leave the journal after that.
func (s *Store) putAside(ctx context.Context, e entry, why error) error {
	if err := s.node.setAside(ctx, e, why.Error()); err != nil {
		return fmt.Errorf("set act %d aside: %w", e.seq, err)
	}
	err := s.noteRefused(ctx, &e.act, why)
	if act := refusedConnect(&e.act, why); err == nil && act != nil {
		err = s.node.journal(ctx, *act)
	}
	if err != nil {
		return fmt.Errorf("note that act %d is set aside: %w", e.seq, err)
	}
	s.log.Error("outage: an act could not be merged and is set aside", "act", e.seq, "kind", e.act.Kind, "error", why)
	return nil
}

// refusedConnect is the log row of a connect whose desktop belongs to somebody else by now: the user was
// told of it, and whoever looks for the reason why two people met on a desktop finds it there.
func refusedConnect(a *broker.Act, why error) *broker.Act {
	if a.Kind != broker.ActConnect || a.Log == nil || !errors.Is(why, broker.ErrConflict) {
		return nil
	}
	row := *a.Log
	row.Reason = append(slices.Clone(row.Reason), "not merged: "+why.Error())
	return &broker.Act{Kind: broker.ActLog, At: a.At, Log: &row}
}
