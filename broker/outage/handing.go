package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// A broker that steps aside (DC7) may have been without its database for a moment before, and what it did
// then is known to it alone. It hands that over to a broker that has the database, in the order of the
// journal, and forgets what that one has merged. Merging is idempotent, so a batch whose answer was lost is
// handed over again, or merged by this broker when it has its database back.
const (
	handEvery  = 200 * time.Millisecond
	handMost   = 200 // acts of one batch
	handWithin = mergeWithin + 2*time.Second
	handAgain  = 2 * time.Second // after a batch that was not taken
)

// Handed are acts that another broker is to merge.
type Handed struct {
	Acts []broker.Act `json:"acts"`
}

// Taken is its answer: so many are merged, and those that the database never takes are not. Whoever says
// less than that of all of them has not merged them.
type Taken struct {
	Merged  int          `json:"merged"`
	Refused []RefusedAct `json:"refused,omitempty"`
}

// of says why it is no answer to so many acts: nothing leaves the journal by one that does not tell of each.
func (t Taken) of(acts int) error {
	if t.Merged+len(t.Refused) != acts {
		return fmt.Errorf("it has merged %d and refused %d of %d acts", t.Merged, len(t.Refused), acts)
	}
	told := make(map[int]bool)
	for _, r := range t.Refused {
		if r.Index < 0 || r.Index >= acts || told[r.Index] {
			return fmt.Errorf("it refuses act %d of %d", r.Index, acts)
		}
		told[r.Index] = true
	}
	return nil
}

// RefusedAct is one of those.
type RefusedAct struct {
	Index    int    `json:"index"` // among those handed over
	Why      string `json:"why"`
	Conflict bool   `json:"conflict,omitempty"` // it is broker.ErrConflict
}

func (r RefusedAct) err() error {
	if r.Conflict {
		return fmt.Errorf("%w: %.1000s", broker.ErrConflict, r.Why)
	}
	return fmt.Errorf("%.1000s", r.Why)
}

// handOver hands over what the journal holds while this broker has stepped aside.
func (s *Store) handOver(ctx context.Context) {
	if s.o.HandOver == nil {
		return
	}
	told := ""
	for wait := handEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		n, err := 1, error(nil)
		for n > 0 && err == nil {
			n, err = s.handBatch(ctx)
		}
		wait = handEvery
		switch {
		case err == nil:
			told = ""
		case ctx.Err() == nil:
			wait = handAgain
			if err.Error() != told {
				told = err.Error()
				s.log.Warn("outage: what was done here could not be handed over yet", "left", s.node.unmerged(), "error", err)
			}
		}
	}
}

// handBatch hands over the oldest acts, if this broker has stepped aside for one that has the database, and
// returns how many have left the journal.
func (s *Store) handBatch(ctx context.Context) (int, error) {
	select {
	case s.oldest <- struct{}{}:
		defer func() { <-s.oldest }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	s.mu.Lock()
	to := s.facts.peer
	s.mu.Unlock()
	if s.State().Mode != mode.Draining || to == "" || s.node.unmerged() == 0 {
		return 0, nil
	}
	list, err := s.node.oldest(ctx, handMost)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	if list[0].err != nil {
		if err := s.putAside(ctx, list[0], list[0].err); err != nil {
			return 0, err
		}
		return 1, s.node.drop(ctx, list[0].seq)
	}
	list = list[:batchable(list)]
	acts := make([]broker.Act, len(list))
	for i := range list {
		acts[i] = list[i].act
	}
	bounded, cancel := context.WithTimeout(ctx, handWithin)
	defer cancel()
	taken, err := s.o.HandOver(bounded, to, Handed{Acts: acts})
	if err == nil {
		err = taken.of(len(list))
	}
	if err != nil {
		return 0, fmt.Errorf("broker %s: %w", to, err)
	}
	for _, r := range taken.Refused {
		if err := s.putAside(ctx, list[r.Index], r.err()); err != nil {
			return 0, err
		}
	}
	if err := s.node.drop(ctx, list[len(list)-1].seq); err != nil {
		return 0, err
	}
	s.handed.Add(int64(taken.Merged))
	s.log.Info("outage: what was done here is handed over", "to", to, "acts", len(list), "refused", len(taken.Refused))
	return len(list), nil
}

// ErrNotNormal refuses acts that another broker hands over to one that has not got the database either.
var ErrNotNormal = fmt.Errorf("%w: this broker does not serve from the database itself", broker.ErrUnavailable)

// TakeActs merges what another broker of the cluster has done without its database.
func (s *Store) TakeActs(ctx context.Context, h Handed) (Taken, error) {
	if len(h.Acts) > handMost {
		return Taken{}, fmt.Errorf("%d acts at once; %d are too many already", len(h.Acts), handMost+1)
	}
	if s.State().Mode != mode.Normal {
		return Taken{}, ErrNotNormal
	}
	type place struct {
		index int
		act   broker.Act
	}
	list := make([]place, len(h.Acts))
	for i, a := range h.Acts {
		list[i] = place{i, a}
	}
	var out Taken
	if len(list) == 0 {
		return out, nil
	}
	err := inHalves(list, func(few []place) error {
		acts := make([]broker.Act, len(few))
		for i, p := range few {
			acts[i] = p.act
		}
		return s.mergeBounded(ctx, acts)
	}, func([]place) error { return nil }, func(p place, why error) error {
		out.Refused = append(out.Refused, RefusedAct{Index: p.index, Why: why.Error(), Conflict: errors.Is(why, broker.ErrConflict)})
		return nil
	})
	if err != nil {
		return Taken{}, err
	}
	out.Merged = len(list) - len(out.Refused)
	s.taken.Add(int64(out.Merged))
	return out, nil
}
