package jobs

import (
	"context"
	"time"

	"switchpoint/broker"
)

const (
	endsAtOnce = 256 // in one transaction
	retryEnds  = 200 * time.Millisecond
)

// endings tells the store how runs ended until w.ended is closed, as many at once as have gathered
// during the transaction before.
func (w *Worker) endings(ctx context.Context) {
	for first := range w.ended {
		batch := []*run{first}
	gathering:
		for len(batch) < endsAtOnce {
			select {
			case r, ok := <-w.ended:
				if !ok {
					break gathering
				}
				batch = append(batch, r)
			default:
				break gathering
			}
		}
		for len(batch) > 0 {
			batch = w.end(ctx, batch)
			if len(batch) == 0 {
				break
			}
			select {
			case <-ctx.Done(): // the store has been away for too long: the leases end these runs
				w.log.Warn("runs that have ended could not be recorded; they will be run again", "runs", len(batch))
				for _, r := range batch {
					w.forget(r)
				}
				batch = nil
			case <-time.After(retryEnds):
			}
		}
	}
}

// end records the ends of one membership's runs and returns what is left to do.
func (w *Worker) end(ctx context.Context, batch []*run) (left []*run) {
	member := batch[0].member
	var now []*run
	var ends []broker.JobEnd
	for _, r := range batch {
		if r.member.Epoch != member.Epoch {
			left = append(left, r)
			continue
		}
		now, ends = append(now, r), append(ends, r.end)
	}
	bounded, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	lost, err := w.o.Store.EndJobs(bounded, member, ends)
	switch {
	case err == nil:
	case over(err):
		w.failed("end", member, err)
		lost = nil
		for _, r := range now {
			lost = append(lost, r.key())
		}
	default:
		w.failed("end", member, err)
		return batch
	}
	gone := make(map[broker.JobRun]bool, len(lost))
	for _, key := range lost {
		gone[key] = true
	}
	for _, r := range now {
		w.metrics.ended(r, gone[r.key()])
		if gone[r.key()] {
			w.log.Warn("a run was no longer this broker's when it ended", "kind", r.job.Kind, "target", r.job.Target, "job", r.job.ID)
		}
		w.forget(r)
	}
	return left
}
