package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker"
)

// Defaults and bounds.
const (
	// DefaultLease with DefaultPoll keeps the promise that a dead broker's jobs are back in the
	// queue within 10 s.
	DefaultLease = 8 * time.Second
	DefaultPoll  = time.Second
	defaultDrain = 5 * time.Second
	callBound    = 3 * time.Second // of one call of the store
	renewParts   = 4               // a lease is renewed that often before it would end
)

// Store is what the worker needs of the cluster's store.
type Store interface {
	broker.JobStore
	RecordHeartbeat(ctx context.Context, m broker.Membership, report string) error
	Purge(ctx context.Context, r broker.Retention) (broker.Purged, error)
}

// Handler runs one job. The result is one line for the Job Queue page. It must return soon after
// ctx ends: then the job was cancelled, is lost, or the broker stops. An error aborts a job that
// runs once and leaves an aborted run of a recurring one; Again asks for another run instead.
type Handler func(ctx context.Context, j broker.Job) (result string, err error)

// Again is the error of a handler whose job goes back to the queue.
type Again = broker.JobAgain

// Options is what a worker consumes. Store and Member are required.
type Options struct {
	Store  Store
	Member func() broker.Membership // the broker's place in the cluster now
	// Added tells of jobs that this process has added; nil: they are found by polling.
	Added <-chan struct{}
	// Logins is the share of the broker's login places that are taken; nil: none.
	Logins func() float64
	// Check is what the heartbeat job asks of the broker: one line, or what is wrong. Nil: nothing.
	Check func(ctx context.Context) (string, error)

	LogRetention     time.Duration // default 30 days
	SessionRetention time.Duration // of ended sessions, default 7 days (PU2)
	JobRetention     time.Duration // of ended jobs, default 2 days (PU2)

	HeartbeatEvery time.Duration // default broker.HeartbeatEvery
	Lease          time.Duration // default DefaultLease
	Poll           time.Duration // how long an idle worker waits; default DefaultPoll
	Drain          time.Duration // what jobs in flight get at the end of Run; default 5 s
	// LoadAverage is that of the machine; nil reads /proc/loadavg.
	LoadAverage func() (float64, error)

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Worker runs jobs. Its methods are safe for concurrent use.
type Worker struct {
	o        Options
	log      *slog.Logger
	metrics  *metrics
	handlers map[string]Handler
	kinds    []string

	mu    sync.Mutex
	runs  map[broker.JobRun]*run // claimed here and not ended in the store yet
	turns map[string]*run        // the newest run of each job id of them
	wg    sync.WaitGroup         // goroutines of handlers

	freed    chan struct{} // a run has ended
	renewNow chan struct{}
	ended    chan *run
	away     atomic.Bool // the store does not answer: told
	idle     bool        // the broker is stopped: told
}

// New checks the options. The kinds of the queue itself are handled; add others with Handle.
func New(o Options) (*Worker, error) {
	if o.Store == nil || o.Member == nil {
		return nil, errors.New("jobs: Options.Store and Options.Member are required")
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Lease, o.Poll, o.Drain = cmp.Or(o.Lease, DefaultLease), cmp.Or(o.Poll, DefaultPoll), cmp.Or(o.Drain, defaultDrain)
	o.HeartbeatEvery = cmp.Or(o.HeartbeatEvery, broker.HeartbeatEvery)
	o.LogRetention = cmp.Or(o.LogRetention, 30*24*time.Hour)
	o.SessionRetention, o.JobRetention = cmp.Or(o.SessionRetention, 7*24*time.Hour), cmp.Or(o.JobRetention, 2*24*time.Hour)
	if o.LoadAverage == nil {
		o.LoadAverage = broker.LoadAverage
	}
	w := &Worker{
		o: o, log: o.Log, handlers: make(map[string]Handler), runs: make(map[broker.JobRun]*run), turns: make(map[string]*run),
		freed: make(chan struct{}, 1), renewNow: make(chan struct{}, 1),
		ended: make(chan *run, 4*runtime.GOMAXPROCS(0)+4),
	}
	var err error
	if w.metrics, err = newMetrics(w, o.Metrics); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	w.handleOwn()
	return w, nil
}

// Handle says how jobs of a kind run. It must be called before Run, once for each kind.
func (w *Worker) Handle(kind string, h Handler) {
	if w.handlers[kind] != nil {
		panic("jobs: two handlers for kind " + kind)
	}
	w.handlers[kind] = h
}

// Run works until ctx ends and then drains. Its error is always nil: whatever fails is tried again.
func (w *Worker) Run(ctx context.Context) error {
	w.kinds = slices.Sorted(maps.Keys(w.handlers))
	// Renewals and ends go on while jobs drain.
	behind, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var renewing, ending sync.WaitGroup
	renewing.Go(func() { w.renewals(behind) })
	ending.Go(func() { w.endings(behind) })
	w.claims(ctx)
	w.drain()
	close(w.ended) // no handler is left
	last := time.AfterFunc(callBound, stop)
	defer last.Stop()
	ending.Wait()
	stop()
	renewing.Wait()
	return nil
}
