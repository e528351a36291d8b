package broker

import (
	"context"
	"fmt"
	"time"
)

// AddJobs puts jobs into the cluster's queue and tells the worker of this process.
func (b *Broker) AddJobs(ctx context.Context, jobs ...NewJob) ([]AddedJob, error) {
	added, err := b.o.Store.AddJobs(ctx, WithIDs(jobs))
	if err == nil {
		b.tellWorker()
	}
	return added, err
}

// WithIDs returns the jobs with an id each.
func WithIDs(jobs []NewJob) []NewJob {
	out := make([]NewJob, len(jobs))
	for i, j := range jobs {
		if j.ID == "" {
			j.ID = newID()
		}
		out[i] = j
	}
	return out
}

func (b *Broker) tellWorker() {
	select {
	case b.jobAdded <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

// JobAdded is ready when this process has added a job, or has changed one that the worker may run.
func (b *Broker) JobAdded() <-chan struct{} { return b.jobAdded }

// Jobs lists jobs of the queue.
func (b *Broker) Jobs(ctx context.Context, f JobFilter) ([]Job, error) {
	return b.o.Store.Jobs(ctx, f)
}

// JobCounts counts the jobs of the queue by kind and state.
func (b *Broker) JobCounts(ctx context.Context) ([]JobCount, error) {
	return b.o.Store.JobCounts(ctx)
}

// CancelJob cancels a job for the operator that by names. The state is what CancelJob of JobStore
// says: a running job is asked to stop.
func (b *Broker) CancelJob(ctx context.Context, id, by string) (JobState, error) {
	arrived := time.Now()
	state, err := b.o.Store.CancelJob(ctx, id, by)
	if err != nil {
		return state, err
	}
	b.tellWorker()
	what := "job " + id
	if list, err := b.o.Store.Jobs(ctx, JobFilter{ID: id, Limit: 1}); err == nil && len(list) == 1 {
		what = fmt.Sprintf("the %s job %s (%s)", list[0].Kind, list[0].Target, id)
	}
	b.operatorDid(ctx, by, "has cancelled "+what, arrived)
	return state, nil
}

// operatorDid writes down what an operator changed where no transaction carries the row.
func (b *Broker) operatorDid(ctx context.Context, by, text string, arrived time.Time) {
	row := b.operatorRow(ctx, LogCluster, by)
	row.Reason = []string{by + " " + text}
	b.record(ctx, row, arrived)
}

// ReassignJobs gives the pending jobs of one site id to another one, or to all with 0.
func (b *Broker) ReassignJobs(ctx context.Context, from, to int, by string) (int, error) {
	arrived := time.Now()
	n, err := b.o.Store.ReassignJobs(ctx, from, to)
	if err != nil {
		return 0, err
	}
	b.tellWorker()
	whom := "all brokers"
	if to != 0 {
		whom = fmt.Sprintf("site id %d", to)
	}
	b.operatorDid(ctx, by, fmt.Sprintf("has given %d pending jobs of site id %d to %s", n, from, whom), arrived)
	return n, nil
}

// RemoveBroker takes a stopped or unavailable broker out of the cluster for the operator that by
// names, and returns how many of its jobs went to the others.
func (b *Broker) RemoveBroker(ctx context.Context, siteID int, by string) (int, error) {
	row := b.operatorRow(ctx, LogCluster, by)
	row.Duration = sinceArrival(time.Now())
	row.Reason = []string{fmt.Sprintf("%s has removed the broker with site id %d from the cluster", by, siteID)}
	n, err := b.o.Store.RemoveBroker(ctx, siteID, row)
	if err == nil {
		b.tellWorker()
	}
	return n, err
}

// LoginShare is the share of the places for logins that are taken, 0 to 1.
func (b *Broker) LoginShare() float64 {
	return float64(b.admit.active()) / float64(max(1, b.admit.capacity()))
}

// CheckSelf is what the heartbeat job asks: whether this broker reaches the store and serves logins.
func (b *Broker) CheckSelf(ctx context.Context) (string, error) {
	version, err := b.o.Store.SetupVersion(ctx)
	if err != nil {
		return "", err
	}
	b.watchGoals(ctx)
	serving := "serves logins"
	if why := b.notServing(); why != "" {
		serving = "serves no logins (" + why + ")"
	}
	q := b.admit.state()
	return fmt.Sprintf("%s, %d of %d places taken, %d logins wait, setup version %d", serving, q.working, b.admit.capacity(), q.waiting, version), nil
}
