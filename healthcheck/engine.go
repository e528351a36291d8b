package healthcheck

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options is what an Engine is given. All of it may be left out.
type Options struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// StateDir is an existing directory in which overrides and the last known states outlive a
	// restart. Without it they are in memory only.
	StateDir string
}

// Engine probes the checks of its table and publishes what it judges. Its methods may be used
// from any goroutine.
type Engine struct {
	log   *slog.Logger
	mets  *metrics
	start time.Time // zero of all scheduling times
	snap  atomic.Pointer[Snapshot]
	ready chan struct{}
	kick  chan struct{} // wakes the loop when something is due before it planned to wake

	lines    *lines
	passive  passive
	stateDir string
	store    sync.Mutex // one writer of the state directory; taken before mu

	mu       sync.Mutex
	checks   map[Key]*check
	byRef    []*check
	refs     refs
	gen      uint64 // tables set so far
	monitors map[string]*monitor
	settings Settings
	pub      publisher
	first    firstRound
	wheel    wheel
	crew     crew
	hosts    hosts
	spread   time.Duration // of the first probes of new checks
	over     overrun
	subs     map[*Subscription]struct{}
	wake     time.Duration // when the loop plans to wake
	started  bool

	forced      overrides
	open        map[string]opening // the maintenance windows by monitor
	openAgain   time.Time          // when to look at the windows again; zero: there are none
	before      map[Key]*stateOnDisk
	ejected     map[*check]struct{} // with an ejection, also one in its trial
	sharedSince map[string]time.Duration
	groups      map[string]groupAt
	late        []transition // to be logged when mu is free
}

// New makes an engine without a table. Nothing is probed before Run.
func New(o Options) *Engine {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		log:      o.Log,
		start:    time.Now(),
		ready:    make(chan struct{}),
		kick:     make(chan struct{}, 1),
		lines:    &lines{by: make(map[lineKey]*line)},
		stateDir: o.StateDir,
		checks:   make(map[Key]*check),
		hosts:    newHosts(),
		subs:     make(map[*Subscription]struct{}),
		open:     make(map[string]opening),
		before:   make(map[Key]*stateOnDisk),
		ejected:  make(map[*check]struct{}),

		sharedSince: make(map[string]time.Duration),
		groups:      make(map[string]groupAt),
	}
	e.passive.tell = make(chan Ref, 1024)
	e.snap.Store(&Snapshot{})
	e.crew.more.L = &e.mu
	e.mets = newMetrics(o.Metrics, e)
	e.recall()
	return e
}

// Snapshot is the newest published truth; never nil.
func (e *Engine) Snapshot() *Snapshot { return e.snap.Load() }

// Ready is closed when every check of the first table has its first result, or when the start
// deadline has passed since the engine both runs and has a table.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Ref gives the index of a check in every snapshot. It does not start probing: SetTable does.
// An index that no table holds is given to another check only by the second SetTable after it was
// last wanted, and not before refGrace.
func (e *Engine) Ref(k Key) Ref {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.want(k).ref
}

// want finds or makes the check of k.
func (e *Engine) want(k Key) *check {
	c := e.checks[k]
	if c == nil {
		c = e.make(k)
	}
	c.gen, c.wanted = e.gen, time.Since(e.start)
	return c
}

func (e *Engine) make(k Key) *check {
	c := &check{key: k, hash: k.hash(), ref: e.refs.take()}
	c.reset(notYet)
	c.force = e.forced.of(k)
	if was := e.before[k]; was != nil {
		c.held = was.Held
		if was.State != Unknown {
			c.before = was
		}
		delete(e.before, k)
	}
	e.checks[k] = c
	for int(c.ref) >= len(e.byRef) {
		e.byRef = append(e.byRef, nil)
	}
	e.byRef[c.ref] = c
	e.hosts.join(c)
	if c.force != nil || c.before != nil || c.held {
		e.settle(c, time.Now())
		if c.status.Source == FromRestart {
			c.status.Since = c.before.Since
		}
	}
	return c
}

// List tells of every check of the table, sorted by address and monitor.
func (e *Engine) List() []CheckStatus {
	e.mu.Lock()
	out := make([]CheckStatus, 0, len(e.checks))
	for _, c := range e.checks {
		if c.mon == nil {
			continue
		}
		out = append(out, CheckStatus{
			Key: c.key, Ref: c.ref, Status: c.status, Judged: c.j.state, Last: c.last,
			Fails: c.j.fails, Successes: c.j.oks,
		})
	}
	e.mu.Unlock()
	slices.SortFunc(out, func(a, b CheckStatus) int { return compareKeys(a.Key, b.Key) })
	return out
}

var errStarted = errors.New("the health engine was already started")

// Run probes until ctx ends, then waits for the probes under way. An engine runs once.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.started {
		e.mu.Unlock()
		return errStarted
	}
	e.started = true
	e.crew.begin(context.WithValue(ctx, linesKey{}, e.lines), e.probe)
	e.mu.Unlock()
	var saver sync.WaitGroup
	saver.Go(func() { e.saveStates(ctx) })
	e.loop(ctx)
	e.mu.Lock()
	e.crew.end()
	e.mu.Unlock()
	e.crew.wait.Wait()
	e.lines.end()
	saver.Wait()
	return nil
}
