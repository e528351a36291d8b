package broker

import (
	"context"
	"fmt"
	"time"
)

// RunJobs makes the recurring jobs of a kind, with a target only the one that works on it, due now. One
// that was cancelled recurs again. The answer is what stands in the queue then; ErrNotFound when the
// queue has no such job. by names the operator.
func (b *Broker) RunJobs(ctx context.Context, kind, target, by string) ([]Job, error) {
	arrived := time.Now()
	list, err := b.o.Store.Jobs(ctx, JobFilter{Kinds: []string{kind}, Target: target, Limit: maxJobsListed, Descending: true})
	if err != nil {
		return nil, err
	}
	chosen := recurring(list)
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: no recurring job of kind %q is in the queue", ErrNotFound, kind)
	}
	var due []NewJob
	for i, j := range chosen {
		if j.State == JobRunning {
			continue
		}
		again := j.NewJob
		again.ID, again.After = "", 0
		due = append(due, again)
		chosen[i].State = JobPending
	}
	added, err := b.AddJobs(ctx, due...)
	if err != nil {
		return nil, err
	}
	for i := range chosen {
		if chosen[i].State == JobPending {
			chosen[i].ID, added = added[0].ID, added[1:]
		}
	}
	if len(due) > 0 {
		b.operatorDid(ctx, by, fmt.Sprintf("has made %d %s jobs %s due now", len(due), kind, target), arrived)
	}
	return chosen, nil
}

// recurring gives for each target the job that stands in the queue, else the one that was cancelled
// last. The heartbeat of a broker is its own: only the broker brings a cancelled one back.
func recurring(newestFirst []Job) []Job {
	var out []Job
	at := make(map[string]int)
	for _, j := range newestFirst {
		stands := j.State == JobPending || j.State == JobRunning
		if j.Every == 0 || !stands && (j.State != JobCancelled || j.Kind == KindHeartbeat) {
			continue
		}
		i, known := at[j.Target]
		switch {
		case !known:
			at[j.Target] = len(out)
			out = append(out, j)
		case stands:
			out[i] = j
		}
	}
	return out
}
