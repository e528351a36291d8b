package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/lb/stick"
	"switchpoint/peer"
)

// Journaled is how many changes the journal of a node with others keeps: some seconds of a busy one.
const Journaled = 1 << 17

// Options is what Nodes needs.
type Options struct {
	Name    string // of this node
	Table   *stick.Table
	Journal *stick.Journal // of Table
	// Clock is the time since the process's start that Table goes by.
	Clock func() time.Duration
	// NameOf and IDOf translate between the ids of Table and names that all nodes know.
	NameOf func(id uint32) (Member, bool)
	IDOf   func(Member) (uint32, bool)
	// Words gives all that operators have said, by any node, as far as is known here: the same
	// bytes for the same words. Adopt takes what another node knows, in the same form; it keeps
	// whatever is newer than what it has, and says what is wrong with it else.
	Words func() []byte
	Adopt func(from string, words []byte) error
	// Call asks a peer; nil for a node alone.
	Call    func(ctx context.Context, peer, method string, body []byte) ([]byte, error)
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
}

// Nodes is this node among the lb nodes. Its methods may be used from any goroutine.
type Nodes struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
	start   uint64        // of this process, never 0
	reload  chan struct{} // wakes Run after SetConfig

	mu      sync.Mutex
	members []*member // in the order of the configuration
}

// member is another node. Nodes.mu guards it, but what only its tell uses.
type member struct {
	name string
	wake chan struct{} // has it told at once

	// What its tell knows: up to where it was told, by which start of its process it was taken.
	cursor uint64
	start  uint64
	all    bool // it is to be told everything

	again    bool      // this node wants to be told everything by it
	heard    time.Time // it last called or answered
	equal    time.Time // when it last knew everything, or was made known here
	trouble  string    // why it cannot be told; empty: it can
	theirs   uint64    // the start that it last called with
	met      bool      // it could be told at least once
	sent     uint64
	received uint64
}

// New makes a node that has no others yet.
func New(o Options) (*Nodes, error) {
	n := &Nodes{o: o, log: o.Log, start: rand.Uint64() | 1, reload: make(chan struct{}, 1)}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if n.metrics, err = newMetrics(o.Metrics, n); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return n, nil
}

// Check says whether SetConfig would take c.
func (n *Nodes) Check(c Config) error {
	if len(c.Others(n.o.Name)) > 0 && n.o.Call == nil {
		return errors.New("lb.nodes has peers, but this process has no [peer] section to reach them")
	}
	return c.Validate()
}

// SetConfig replaces the configuration, also while Run runs. What is known of nodes that stay is
// kept.
func (n *Nodes) SetConfig(c Config) error {
	if err := n.Check(c); err != nil {
		return err
	}
	others := c.Others(n.o.Name)
	n.mu.Lock()
	same := len(others) == len(n.members)
	members := make([]*member, len(others))
	for i, name := range others {
		same = same && n.members[i].name == name
		if members[i] = n.member(name); members[i] == nil {
			members[i] = &member{name: name, wake: make(chan struct{}, 1), all: true, equal: time.Now()}
		}
	}
	if same {
		n.mu.Unlock()
		return nil
	}
	for _, m := range n.members {
		if !slices.Contains(members, m) {
			n.metrics.forget(m.name)
		}
	}
	n.members = members
	n.mu.Unlock()
	select {
	case n.reload <- struct{}{}:
	default:
	}
	return nil
}

// member finds another node by its name. n.mu is held.
func (n *Nodes) member(name string) *member {
	if i := slices.IndexFunc(n.members, func(m *member) bool { return m.name == name }); i >= 0 {
		return n.members[i]
	}
	return nil
}

// Resync asks all nodes to tell everything once more: there are members of which entries were left
// out before.
func (n *Nodes) Resync() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.members {
		m.again = true
	}
}

// Handlers are the methods that peers may call.
func (n *Nodes) Handlers() map[string]peer.Handler {
	return map[string]peer.Handler{methodEntries: n.takeEntries, methodWords: n.takeWords}
}

// Run tells the other nodes until ctx ends.
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
	members := n.members
	n.mu.Unlock()
	for _, m := range members {
		group.Go(func() { n.tell(ctx, m) })
	}
	select {
	case <-ctx.Done():
	case <-n.reload:
	}
}
