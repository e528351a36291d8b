package jobs

import (
	"context"
	"time"

	"switchpoint/broker"
)

// countEvery is how often the queue is counted for the metrics.
const countEvery = 15 * time.Second

// renewals keeps the leases of this worker's runs until ctx ends, and stops the runs that are to be
// cancelled.
func (w *Worker) renewals(ctx context.Context) {
	tick := time.NewTicker(max(w.o.Lease/renewParts, time.Millisecond))
	defer tick.Stop()
	count := time.NewTicker(countEvery)
	defer count.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-count.C:
			w.count(ctx)
			continue
		case <-tick.C:
		case <-w.renewNow:
		}
		byEpoch := make(map[int64][]*run)
		for _, r := range w.current() {
			byEpoch[r.member.Epoch] = append(byEpoch[r.member.Epoch], r)
		}
		for _, runs := range byEpoch {
			w.renew(ctx, runs)
		}
	}
}

func (w *Worker) renewSoon() {
	select {
	case w.renewNow <- struct{}{}:
	default:
	}
}

// renew prolongs the leases of one membership's runs.
func (w *Worker) renew(ctx context.Context, runs []*run) {
	byKey := make(map[broker.JobRun]*run, len(runs))
	keys := make([]broker.JobRun, len(runs))
	for i, r := range runs {
		keys[i] = r.key()
		byKey[keys[i]] = r
	}
	sent := time.Now()
	bounded, cancel := context.WithTimeout(ctx, min(callBound, w.o.Lease))
	defer cancel()
	answer, err := w.o.Store.RenewJobs(bounded, runs[0].member, keys, w.o.Lease)
	if err != nil {
		w.failed("renew", runs[0].member, err)
		return
	}
	for _, key := range answer.Lost {
		select {
		case <-byKey[key].done: // it has just been ended, by us
		default:
			w.log.Warn("a run was taken from this broker", "kind", byKey[key].job.Kind, "target", byKey[key].job.Target, "job", key.ID)
			byKey[key].cancel(errLost)
		}
		delete(byKey, key)
	}
	for _, key := range answer.Cancel {
		byKey[key].cancel(errCancelled)
	}
	for _, r := range byKey {
		if r.ctx.Err() == nil {
			r.lease.Reset(time.Until(sent.Add(w.o.Lease)))
		}
	}
}

// count brings the metrics of the whole queue up to date.
func (w *Worker) count(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	counts, err := w.o.Store.JobCounts(bounded)
	if err != nil {
		w.failed("count", w.o.Member(), err)
		return
	}
	w.metrics.counted(counts)
}
