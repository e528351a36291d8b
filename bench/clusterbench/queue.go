package clusterbench

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/jobs"
	"switchpoint/broker/sqlite"
)

const (
	queueBrokers = 2
	queueBatch   = 100    // jobs of one claim
	queueJobs    = 20_000 // in the queue, all of them due
	queueLease   = 8 * time.Second
	queueKind    = "bench"
)

// queue measures both databases in turns.
func (r *run) queue(ctx context.Context) error {
	if err := r.database(ctx, "queue"); err != nil {
		return err
	}
	pg, err := r.open(ctx, "queue", 8)
	if err != nil {
		return err
	}
	defer func() { _ = pg.Close() }() // what was measured is known by then
	lite, err := sqlite.Open(ctx, filepath.Join(r.dir, "queue.db"), sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = lite.Close() }()
	few := jobs.Load{CPUs: runtime.NumCPU()}.MaxJobs()
	kinds := []*queueBench{
		{name: "PostgreSQL", store: pg, batch: queueBatch, limit: minQueuePostgres},
		{name: "SQLite", store: lite, batch: queueBatch, limit: minQueueSQLite},
		{name: "PostgreSQL", store: pg, batch: few},
		{name: "SQLite", store: lite, batch: few},
	}
	for _, q := range kinds {
		if q.limit > 0 {
			if err := fillQueue(ctx, q.store); err != nil {
				return err
			}
		}
	}
	for round := range r.o.Rounds {
		for _, q := range kinds {
			r.bar.Step("job queue, jobs/s", round+1, r.o.Rounds, q.name)
			if err := q.measure(ctx, r.o.Length); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
		}
	}
	for _, q := range kinds {
		row := newRow(fmt.Sprintf("job claim + reschedule, %s, %d brokers, %d at a time", q.name, queueBrokers, q.batch), "jobs/s", q.rates)
		if q.limit > 0 {
			row = row.atLeast(q.limit)
		}
		r.report.Rows = append(r.report.Rows, row)
	}
	return nil
}

// queueBench is one store under one size of claims.
type queueBench struct {
	name  string
	store broker.Store
	batch int
	limit float64 // 0: none
	rates []float64
}

// fillQueue adds jobs that are due again as soon as they have run.
func fillQueue(ctx context.Context, s broker.Store) error {
	list := make([]broker.NewJob, queueJobs)
	for i := range list {
		list[i] = broker.NewJob{Kind: queueKind, Target: strconv.Itoa(i), Every: time.Millisecond}
	}
	_, err := s.AddJobs(ctx, broker.WithIDs(list))
	return err
}

// joinQueue makes a broker that may run jobs: one with a heartbeat job.
func joinQueue(ctx context.Context, s broker.Store, site int) (broker.Membership, error) {
	n := broker.Node{Name: "broker-" + strconv.Itoa(site), Datacenter: "bench", Version: "bench", SiteID: site, Booted: time.Now()}
	m, err := s.Join(ctx, n, broker.Cluster{Name: "bench"}, broker.Liveness)
	if err != nil {
		return m, err
	}
	_, err = s.AddJobs(ctx, broker.WithIDs([]broker.NewJob{broker.HeartbeatJob(site, time.Hour)}))
	return m, err
}

// measure lets brokers work for a while and counts the jobs that went through.
func (q *queueBench) measure(ctx context.Context, length time.Duration) error {
	var done atomic.Int64
	errs := make([]error, queueBrokers)
	members := make([]broker.Membership, queueBrokers)
	for i := range members {
		var err error
		if members[i], err = joinQueue(ctx, q.store, i+1); err != nil {
			return err
		}
	}
	began := time.Now()
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			for time.Since(began) < length && errs[i] == nil {
				var n int
				n, errs[i] = q.turn(ctx, m)
				done.Add(int64(n))
			}
		})
	}
	wg.Wait()
	q.rates = append(q.rates, float64(done.Load())/time.Since(began).Seconds())
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// turn claims once and ends what it got.
func (q *queueBench) turn(ctx context.Context, m broker.Membership) (int, error) {
	got, err := q.store.ClaimJobs(ctx, broker.JobClaim{Member: m, Kinds: []string{queueKind}, Max: q.batch, Lease: queueLease})
	if err != nil {
		return 0, err
	}
	ends := make([]broker.JobEnd, len(got.Jobs))
	for i, j := range got.Jobs {
		ends[i] = broker.JobEnd{JobRun: broker.JobRun{ID: j.ID, Run: j.Run}, How: broker.JobFinished, Result: "ok"}
	}
	lost, err := q.store.EndJobs(ctx, m, ends)
	if err == nil && len(lost) > 0 {
		err = fmt.Errorf("%d of %d jobs were lost while they ran", len(lost), len(ends))
	}
	return len(ends), err
}
