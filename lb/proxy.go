package lb

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"switchpoint/healthcheck"
	"switchpoint/lb/nodes"
	"switchpoint/lb/stick"
)

// Options is what New needs. Zero durations mean the defaults.
type Options struct {
	// Listeners are bound by New; their addresses and whether they speak TLS are fixed then.
	Listeners []Listener
	// Snapshot gives the health of the members; nil: all members without a monitor.
	Snapshot func() *healthcheck.Snapshot
	// Report takes how each attempt at a member went, from the request path; nil: nobody does.
	Report func(healthcheck.Ref, healthcheck.Outcome)
	// StateDir is an existing directory in which what operators say outlives the process; empty:
	// it does not. Node is the name that their words bear.
	StateDir string
	Node     string
	// Call asks a peer (peer.Node.Call): the other nodes of [lb.nodes] are told what this one knows,
	// and what they know comes through Handlers. Nil: there is no [peer] section.
	Call    func(ctx context.Context, peer, method string, body []byte) ([]byte, error)
	Log     *slog.Logger
	Metrics prometheus.Registerer

	ReadTimeout  time.Duration // for a request's head, and for every wait inside its body; default 30s
	IdleTimeout  time.Duration // between requests of a connection; default 75s
	DrainTimeout time.Duration // for requests in flight when Run ends; default 10s
	// TunnelTimeout is how long an upgraded connection may be silent; default 1h.
	TunnelTimeout time.Duration
	WatchEvery    time.Duration // between looks at the files of certificates; default 3s
}

// Proxy is the running balancer. Its methods may be called from any goroutine.
type Proxy struct {
	log       *slog.Logger
	snapshot  func() *healthcheck.Snapshot
	tell      func(healthcheck.Ref, healthcheck.Outcome)
	metrics   *metrics
	listeners []*listener
	limits    limits
	node      string
	stateDir  string
	base      time.Time // time zero of all figures, on the monotonic clock

	live     atomic.Pointer[live]
	draining atomic.Bool
	// stopDelay is that of the table in force, in nanoseconds.
	stopDelay atomic.Int64
	idBase    string // begins the ids of this process's requests
	logWake   chan struct{}
	// connections counts the clients' connections; each has its number.
	connections atomic.Uint64
	exchanges   sync.Pool
	buffers     buffers
	pipes       pipes // of tcp listeners

	operating sync.Mutex              // held by who changes words
	words     atomic.Pointer[wordSet] // never nil

	sticks       *stick.Table // who had which member, for all pools
	cookieSecret []byte       // where a pool has none of its own
	nodes        *nodes.Nodes

	mu        sync.Mutex // guards what follows, and SetTable as a whole
	upstreams map[upstreamKey]*upstream
	pools     map[string]*poolState
	nextID    uint32
	logs      map[string]*accessLog // by path
	wordsTurn time.Time             // when one of the words ends or changes by itself; zero: none does
}

type limits struct{ read, idle, drain, watch, tunnel time.Duration }

type upstreamKey struct{ pool, address string }

// New binds the listeners. Connections are accepted by Run; until the first SetTable they are
// answered with 503.
func New(o Options) (*Proxy, error) {
	p := &Proxy{
		log: o.Log, snapshot: o.Snapshot, tell: o.Report, metrics: newMetrics(), base: time.Now(),
		limits:    limits{o.ReadTimeout, o.IdleTimeout, o.DrainTimeout, o.WatchEvery, o.TunnelTimeout},
		upstreams: make(map[upstreamKey]*upstream),
		pools:     make(map[string]*poolState),
		node:      o.Node, stateDir: o.StateDir,
		logs: make(map[string]*accessLog), logWake: make(chan struct{}, 1), idBase: newIDBase(),
	}
	orDuration(&p.limits.read, 30*time.Second)
	orDuration(&p.limits.idle, 75*time.Second)
	orDuration(&p.limits.drain, 10*time.Second)
	orDuration(&p.limits.watch, defaultWatch)
	orDuration(&p.limits.tunnel, time.Hour)
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.loadWords()
	if err := p.newPersistence(o); err != nil {
		return nil, err
	}
	if p.snapshot == nil {
		p.snapshot = func() *healthcheck.Snapshot { return nil }
	}
	for i, l := range o.Listeners {
		ln, err := net.Listen("tcp", l.Listen)
		if err != nil {
			p.closeListeners()
			return nil, fmt.Errorf("lb: listener[%d] %q cannot listen on %s: %w; stop the process that holds the address or change listen", i, l.Name, l.Listen, err)
		}
		p.listeners = append(p.listeners, p.newListener(i, l, ln))
	}
	if o.Metrics != nil {
		if err := o.Metrics.Register(p); err != nil {
			p.closeListeners()
			return nil, fmt.Errorf("lb: register metrics: %w", err)
		}
	}
	return p, nil
}

func (p *Proxy) closeListeners() {
	for _, l := range p.listeners {
		_ = l.ln.Close() // closing is all that is wanted
	}
}

// Addr gives the bound address of each listener by name.
func (p *Proxy) Addr() map[string]netip.AddrPort {
	out := make(map[string]netip.AddrPort, len(p.listeners))
	for _, l := range p.listeners {
		if a, ok := l.ln.Addr().(*net.TCPAddr); ok {
			out[l.name] = a.AddrPort()
		}
	}
	return out
}

// now is the time since the proxy was made, in nanoseconds.
func (p *Proxy) now() int64 { return int64(time.Since(p.base)) }

// Run serves until ctx ends, and for the table's stop_delay after that. Then it stops accepting,
// lets requests in flight finish for at most DrainTimeout, and closes everything. It is to be called
// once.
func (p *Proxy) Run(ctx context.Context) error {
	wanted := ctx.Err() == nil
	var accepting errgroup.Group
	var serving sync.WaitGroup
	for _, l := range p.listeners {
		accepting.Go(func() error { return p.accept(l, &serving) })
	}
	janitor, stopJanitor := context.WithCancel(context.WithoutCancel(ctx))
	accepting.Go(func() error { p.clean(janitor); return nil })
	accepting.Go(func() error { p.watchFiles(janitor); return nil })
	logging, stopLogging := context.WithCancel(context.WithoutCancel(ctx))
	var writing sync.WaitGroup
	writing.Go(func() { p.writeLogs(logging) })

	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	writing.Go(func() { p.keepLimits(keeping) })
	writing.Go(func() { _ = p.nodes.Run(keeping) }) // until the last client was served; it never fails

	<-ctx.Done()
	p.draining.Store(true)
	if wanted { // else nobody was ever sent here
		p.linger(time.Duration(p.stopDelay.Load()))
	}
	p.closeListeners()
	stopJanitor()
	err := accepting.Wait()
	p.drain(&serving)
	stopKeeping()
	stopLogging()
	writing.Wait() // the lines of the last requests are written, too
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.upstreams {
		u.retire()
	}
	p.pipes.close()
	return err
}

// linger serves on for stop_delay, while those who send clients here learn that they should not.
// No connection is kept for another request meanwhile, so that few are left when it is over.
func (p *Proxy) linger(delay time.Duration) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for over := time.After(delay); ; {
		select {
		case <-over:
			return
		case <-tick.C:
			for _, l := range p.listeners {
				l.conns.closeWhere((*clientConn).idle)
			}
		}
	}
}

// drain waits for the connections, closing idle ones at once and all of them in the end.
func (p *Proxy) drain(serving *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { serving.Wait(); close(done) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			waited := now.Sub(began)
			for _, l := range p.listeners { // before the ends of others make places for them
				if waited > p.limits.drain {
					l.conns.cutWaits()
				}
			}
			for _, l := range p.listeners {
				l.conns.closeWhere(func(c *clientConn) bool {
					return waited > p.limits.drain || c.idle() || c.fresh() && waited > freshGrace
				})
			}
		}
	}
}

// clean closes connections to members that are unused for long and drops expired persistence
// entries, one shard of their table a second.
func (p *Proxy) clean(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			live := p.live.Load()
			if live == nil {
				continue
			}
			p.turnWords(now)
			p.sticks.Sweep(n, time.Duration(p.now()))
			for _, lp := range live.pools {
				p.look(lp)
				lp.budget.tick(lp.draws.Load())
				for _, u := range lp.ups {
					u.expire(p.now())
					u.chosen.tick()
				}
			}
			p.closeDown(live)
		}
	}
}
