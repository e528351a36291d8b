package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/peer"
)

// Options is what Nodes needs.
type Options struct {
	Config   Config
	Name     string // of this node
	StateDir string // where the operators' document is kept; empty: nowhere
	// Snapshot gives the node's own newest health snapshot, Subscribe follows them: what it
	// reports to the others. Without Subscribe it looks every interval.
	Snapshot  func() *healthcheck.Snapshot
	Subscribe func() *healthcheck.Subscription
	// Call asks a peer; nil for a node alone.
	Call func(ctx context.Context, peer, method string, body []byte) ([]byte, error)
	// Changed is called when Status or Operator would now answer otherwise. It must not block.
	Changed func()
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
}

// Nodes is this node among the GTM nodes. Its methods may be used from any goroutine.
type Nodes struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
	start   uint64        // of this process, never 0
	reload  chan struct{} // wakes Run after SetConfig

	writing  sync.Mutex  // held while the document is replaced, from reading it to having it on disk
	mourned  steer.Stamp // the newest document that was replaced by one that was not made from it
	document atomic.Pointer[document]

	mu      sync.Mutex
	config  Config
	need    int
	members []*member // in the order of the configuration
	watch   *watch
	mine    own
	sight   sight
	// In the order of the watch: what Status last gave (never changed once it is there), what was
	// last confirmed, and where this node's own view did not count.
	agreed    []settled
	kept      []settled
	overruled []bool
}

// member is another node.
type member struct {
	name string
	wake chan struct{} // has a report sent at once
	inbox
	inTouch bool        // as last logged
	trouble string      // why reports do not reach it; empty: they do
	told    steer.Stamp // the version of the document that it answered with last
	refused string      // why its document was not taken over when it last handed one over
}

// New reads the operators' document. One that cannot be used is set aside and reported.
func New(o Options) (*Nodes, error) {
	n := &Nodes{o: o, log: o.Log, start: rand.Uint64() | 1, reload: make(chan struct{}, 1), watch: newWatch(nil)}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.o.Snapshot == nil {
		n.o.Snapshot = func() *healthcheck.Snapshot { return nil }
	}
	n.mine.reset(n.watch)
	doc, err := load(o.StateDir)
	if err != nil {
		if doc == nil {
			return nil, err
		}
		n.log.Error("what operators have said is lost on this node, unless another node has it", "err", err)
	}
	n.document.Store(doc)
	if n.metrics, err = newMetrics(o.Metrics, n); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err := n.SetConfig(o.Config); err != nil {
		return nil, err
	}
	return n, nil
}

// SetConfig replaces the configuration, also while Run runs. What is known of nodes that stay
// members is kept.
func (n *Nodes) SetConfig(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c = c.WithDefaults()
	others := c.others(n.o.Name)
	if len(others) > 0 && n.o.Call == nil {
		return errors.New("gtm.nodes has members, but this process has no [peer] section to reach them")
	}
	n.mu.Lock()
	if c.equal(n.config) {
		n.mu.Unlock()
		return nil
	}
	members := make([]*member, len(others))
	for i, name := range others {
		members[i] = n.member(name)
		if members[i] == nil {
			members[i] = &member{name: name, wake: make(chan struct{}, 1)}
			members[i].votes = make([]vote, len(n.watch.keys))
		}
	}
	n.config, n.members, n.need = c, members, c.need(n.o.Name)
	if len(c.Anchors) == 0 {
		n.sight = sight{}
	}
	n.mu.Unlock()
	select {
	case n.reload <- struct{}{}:
	default:
	}
	n.changed()
	return nil
}

// member finds another node by its name. n.mu is held.
func (n *Nodes) member(name string) *member {
	if i := slices.IndexFunc(n.members, func(m *member) bool { return m.name == name }); i >= 0 {
		return n.members[i]
	}
	return nil
}

// SetChecks says what the gtm of this node watches: what it reports to the others, and on what
// their reports count.
func (n *Nodes) SetChecks(checks map[healthcheck.Key]healthcheck.Ref) {
	next := newWatch(checks)
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.watch
	if next.same(was) {
		return
	}
	n.watch = next
	n.mine.reset(next)
	for _, m := range n.members {
		m.rewatch(was, next)
	}
	n.agreed, n.kept, n.overruled = move(n.agreed, was, next), move(n.kept, was, next), move(n.overruled, was, next)
}

// Operator is the newest document of what operators have said; never nil. It must not be changed.
func (n *Nodes) Operator() *steer.Operator { return n.document.Load().operator }

// Handlers are the methods that peers may call.
func (n *Nodes) Handlers() map[string]peer.Handler {
	return map[string]peer.Handler{methodReport: n.takeReport, methodOperator: n.takeOperator}
}

// Run reports to the other nodes and looks at the anchors until ctx ends.
func (n *Nodes) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		n.runConfig(ctx)
	}
	return nil
}

// runConfig works with one configuration until ctx ends or there is another one.
func (n *Nodes) runConfig(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	n.mu.Lock()
	c, members := n.config, n.members
	n.mu.Unlock()
	if len(c.Anchors) > 0 {
		group.Go(func() { n.look(ctx, c.Anchors, c.Interval) })
	}
	if len(members) > 0 {
		group.Go(func() { n.watchTouch(ctx, c.Interval) })
		group.Go(func() { n.watchHealth(ctx) })
	}
	for _, m := range members {
		group.Go(func() { n.tell(ctx, m, c.Interval) })
	}
	select {
	case <-ctx.Done():
	case <-n.reload:
	}
}

func (n *Nodes) changed() {
	if n.o.Changed != nil {
		n.o.Changed()
	}
}
