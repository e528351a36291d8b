package outage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"switchpoint/broker"
	"switchpoint/broker/outage/hostcache"
	"switchpoint/broker/outage/mode"
)

// closeWithin bounds what is written down at the end.
const closeWithin = 5 * time.Second

// Primary is the cluster's database.
type Primary interface {
	broker.Store
	broker.CacheSource
	io.Closer
}

// Peer is what another broker of the cluster says of itself.
type Peer struct {
	Name string    `json:"name"`
	Mode mode.Mode `json:"mode"`
	// Answered is how long ago its database took a write; negative: it has not yet.
	Answered time.Duration `json:"answered"`
	// Able says that it has something to serve from, and Capacity how much it can take.
	Able     bool `json:"able"`
	Capacity int  `json:"capacity"`
	// Unmerged is how many acts of it are not in the database yet.
	Unmerged int `json:"unmerged"`
}

// Options is what a Store needs. Config, Dir, Name, Primary and Beat are required.
type Options struct {
	Config  broker.Outage // with defaults
	Dir     string        // the node's state directory
	Name    string        // of the node
	Primary Primary
	// Check says why the broker could not serve with a setup; nil: it can with any.
	Check func(broker.Setup) error
	// Beat asks the database to take a write of this broker.
	Beat func(context.Context) error
	// AskPeers asks the brokers of the cluster that can be reached how they stand; nil: there are none.
	AskPeers func(context.Context) []Peer
	// HandOver has the broker with that name merge acts; nil: they wait until this one can.
	HandOver func(ctx context.Context, broker string, h Handed) (Taken, error)
	// Tell brings an ActOperator to the other brokers of the cluster (Hear), and returns why some of them do
	// not have it; nil: there are none.
	Tell func(context.Context, broker.Act) map[string]error
	// Capacity is how many logins this broker can have under way, for an election by capacity; nil: 0.
	Capacity func() int
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// Store is a broker.Store that goes on without its database.
type Store struct {
	Primary // for every call that is not of the login path
	o       Options
	log     *slog.Logger
	profile mode.Profile
	node    *node
	cache   *hostcache.Cache
	metrics *metrics
	breaker breaker
	wake    chan struct{}   // a call met a database that does not answer
	said    chan broker.Act // by an operator, for the other brokers
	merge   chan struct{}   // the mode is recovering

	// gate is held for reading by calls that are served from the files. Whoever ends their time, or
	// exchanges the file, holds it for writing.
	gate  sync.RWMutex
	files atomic.Pointer[local] // nil: there is nothing to serve from
	state atomic.Pointer[mode.State]

	brokers atomic.Pointer[[]broker.NodeStatus] // as the database last had them
	busiest atomic.Pointer[broker.LoginHour]    // likewise

	turn sync.Mutex // held by a step of the mode; after gate

	oldest chan struct{} // has a token while the oldest acts of the journal are on their way; after gate
	handed atomic.Int64
	taken  atomic.Int64 // from other brokers

	opening sync.Mutex              // one attempt to open the files at a time; after gate
	tried   time.Time               // when the newest was made
	failed  error                   // how it ended
	trouble atomic.Pointer[trouble] // why the host cache could not be opened; nil: it could
	leases  *leaseCopy

	stop func() // ends the writer of node

	mu    sync.Mutex
	facts facts
}

// facts are what the prober has learned.
type facts struct {
	answered time.Time // the newest answer
	good     time.Time // the first answer since the newest failure; zero: that is the newest
	since    time.Time // when the first question was asked that has failed since the newest answer
	why      string
	heard    map[string]heard // what other brokers last answered
	peer     string           // a broker whose database has answered since then
	// unwritten is how most calls that write end since unwrittenSince; nil: they succeed. unwrote is by how
	// many more have failed.
	unwritten      error
	unwrote        int
	unwrittenSince time.Time
	unwrittenLast  time.Time
	fenced         error // what the newest beat was told, if not nothing
	force          *mode.Force
}

// heard is what another broker has said of itself, and when.
type heard struct {
	Peer
	at time.Time
}

var _ broker.Store = (*Store)(nil)

// New opens the files of this broker; it asks no database. Run must be called, and Close after it.
func New(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	profile, ok := mode.Named(o.Config.Profile)
	if !ok {
		return nil, fmt.Errorf("there is no outage profile %q", o.Config.Profile)
	}
	s := &Store{
		Primary: o.Primary, o: o, log: o.Log, profile: profile,
		wake: make(chan struct{}, 1), merge: make(chan struct{}, 1), said: make(chan broker.Act, tellQueue), oldest: make(chan struct{}, 1),
		leases: newLeaseCopy(),
	}
	s.state.Store(&mode.State{Mode: mode.Normal, Since: time.Now(), Reason: "the broker starts"})
	s.facts.heard = make(map[string]heard)
	s.facts.answered = time.Now() // so it has as long as any other to answer
	var err error
	if s.cache, err = hostcache.New(hostcache.Options{
		Source: o.Primary, Dir: o.Dir, Check: o.Check, Every: o.Config.CacheEvery, MaxAge: o.Config.CacheMaxAge, Log: o.Log, Metrics: o.Metrics,
	}); err != nil {
		return nil, fmt.Errorf("host cache: %w", err)
	}
	if s.node, err = openNode(ctx, filepath.Join(o.Dir, nodeFile)); err != nil {
		return nil, fmt.Errorf("open the files for an outage: %w", err)
	}
	if s.metrics, err = newMetrics(s, o.Metrics); err != nil {
		return nil, errors.Join(err, s.node.close())
	}
	if _, err := s.node.kept(ctx, keptForce, &s.facts.force); err != nil {
		return nil, errors.Join(err, s.node.close())
	}
	if err := s.openLeaseCopy(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read the copy of the leases: %w", err), s.node.close())
	}
	if o.Config.Mode != broker.OutageLeases {
		s.cache.Look(ctx) // a word that forces the outage counts from the first moment on
	}
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.node.run(writing) // Close waits for it
	return s, nil
}

// Close writes what waits and closes the files and the database. Run has ended; a call that is under way
// is waited for.
func (s *Store) Close() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	err := s.node.flush(ctx)
	s.stop()
	<-s.node.over
	if l := s.files.Swap(nil); l != nil {
		err = errors.Join(err, l.end())
	}
	return errors.Join(err, s.node.close(), s.Primary.Close())
}

// State is how the broker stands now.
func (s *Store) State() mode.State { return *s.state.Load() }

// Run watches over the database and keeps the files until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.watch(ctx) })
	g.Go(func() error { return s.mergeWhenAsked(ctx) })
	g.Go(func() error { s.handOver(ctx); return nil })
	g.Go(func() error { s.tellOthers(ctx); return nil })
	if s.o.Config.Mode != broker.OutageLeases {
		g.Go(func() error { return s.cache.Run(ctx) })
	}
	if s.o.Config.Leasing() == "" {
		g.Go(func() error { s.copyLeases(ctx); return nil })
	}
	return g.Wait()
}
