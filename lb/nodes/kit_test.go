package nodes

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/lb/stick"
	"switchpoint/peer"
)

const keep = 300 * time.Second

func key(n int) (k stick.Key) {
	binary.BigEndian.PutUint64(k[8:], uint64(n))
	return k
}

// world is some lb nodes in one process, each with its own peer listener, whose network can be cut.
type world struct {
	t     *testing.T
	names []string
	sites map[string]*site

	mu  sync.Mutex
	cut bool
}

// site is one node.
type site struct {
	name string
	peer *peer.Node
	// now is the node of now: a site can restart.
	now      atomic.Pointer[running]
	registry *prometheus.Registry
	sizes    sizes
}

// running is a node from one start to its end.
type running struct {
	*Nodes
	table   *stick.Table
	journal *stick.Journal
	base    time.Time
	logged  *logged
	stop    func()

	mu      sync.Mutex
	members []Member // id is 1 + 7 times the index, plus that of the site
	shift   int
	words   []string // what operators said, in order: a set that only grows
	refuse  error
}

type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sizes are what was sent.
type sizes struct {
	mu                    sync.Mutex
	calls, bytes, longest int
}

func (s *sizes) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.bytes += n
	s.longest = max(s.longest, n)
}

// newWorld makes nodes of these names, which trust each other and run.
func newWorld(t *testing.T, names ...string) *world {
	w := &world{t: t, names: names, sites: make(map[string]*site)}
	var trust []peer.Trust
	for _, name := range names {
		s := &site{name: name}
		id, err := peer.LoadIdentity(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if s.peer, err = peer.New(peer.Options{Config: peer.Config{Listen: "127.0.0.1:0"}, Identity: id, Name: name}); err != nil {
			t.Fatal(err)
		}
		w.sites[name] = s
		trust = append(trust, peer.Trust{Name: name, Cluster: "lb", Key: id.PublicKey(), Address: s.peer.Addr().String()})
	}
	for i, name := range names {
		s := w.sites[name]
		table, err := peer.Compile(peer.Config{Trust: trust}, trust[i].Key)
		if err != nil {
			t.Fatal(err)
		}
		s.peer.SetTable(table)
		for _, method := range []string{methodEntries, methodWords} {
			s.peer.Handle(method, func(ctx context.Context, from peer.Trust, body []byte) ([]byte, error) {
				if n := s.now.Load(); n != nil {
					return n.Handlers()[method](ctx, from, body)
				}
				return nil, errors.New("not running")
			})
		}
		run(t, s.peer.Run)
	}
	for i, name := range names {
		w.start(name, i)
	}
	return w
}

// start starts a node. Its ids are others than those of the nodes with another shift.
func (w *world) start(name string, shift int) *running {
	s := w.sites[name]
	r := &running{
		journal: stick.NewJournal(20_000), base: time.Now().Add(-time.Duration(shift) * time.Hour), logged: &logged{}, shift: shift,
		members: []Member{{"brokers", "10.0.0.11:443"}, {"brokers", "10.0.0.12:443"}, {"spare", "10.0.0.11:443"}},
	}
	r.table = stick.New(1<<17, r.journal)
	s.registry = prometheus.NewRegistry()
	var err error
	r.Nodes, err = New(Options{
		Name: name, Table: r.table, Journal: r.journal, Clock: r.clock, NameOf: r.nameOf, IDOf: r.idOf,
		Words: r.said, Adopt: r.adopt, Call: w.call(s), Log: slog.New(slog.NewTextHandler(r.logged, nil)), Metrics: s.registry,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := r.SetConfig(Config{Peers: w.names}); err != nil {
		w.t.Fatal(err)
	}
	s.now.Store(r)
	r.stop = run(w.t, r.Run)
	return r
}

// end ends a node; its peer listener stays.
func (w *world) end(name string) {
	s := w.sites[name]
	s.now.Swap(nil).stop()
}

func (w *world) node(name string) *running { return w.sites[name].now.Load() }

func (w *world) call(s *site) func(context.Context, string, string, []byte) ([]byte, error) {
	return func(ctx context.Context, to, method string, body []byte) ([]byte, error) {
		w.mu.Lock()
		cut := w.cut
		w.mu.Unlock()
		if cut {
			return nil, fmt.Errorf("%w: %s", peer.ErrUnreachable, to)
		}
		if method == methodEntries {
			s.sizes.add(len(body))
		}
		return s.peer.Call(ctx, to, method, body)
	}
}

// partition cuts all nodes off from each other, or ends that.
func (w *world) partition(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			for _, s := range w.sites {
				if r := s.now.Load(); r != nil {
					w.t.Logf("%s: %+v\n%s", s.name, r.Show(), r.logged)
				}
			}
			w.t.Fatalf("it does not come about that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *running) clock() time.Duration { return time.Since(r.base) }

func (r *running) nameOf(id uint32) (Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := (int(id) - 1 - r.shift) / 7
	if i < 0 || i >= len(r.members) || r.id(i) != id {
		return Member{}, false
	}
	return r.members[i], true
}

func (r *running) id(i int) uint32 { return uint32(1 + r.shift + 7*i) }

func (r *running) idOf(m Member) (uint32, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.members {
		if r.members[i] == m {
			return r.id(i), true
		}
	}
	return 0, false
}

// bind binds clients to the i-th member.
func (r *running) bind(i, from, to int) {
	for n := from; n < to; n++ {
		r.table.Bind(key(n), r.id(i), r.clock(), keep)
	}
}

// has says whether all these clients are bound to the i-th member.
func (r *running) has(i, from, to int) bool {
	for n := from; n < to; n++ {
		if id, _, ok := r.table.Peek(key(n), r.clock()); !ok || id != r.id(i) {
			return false
		}
	}
	return true
}

func (r *running) said() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return []byte(strings.Join(r.words, "\n"))
}

func (r *running) say(word string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.words = append(r.words, word)
}

// adopt joins what others said to what is known.
func (r *running) adopt(_ string, b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return r.refuse
	}
	for word := range strings.SplitSeq(string(b), "\n") {
		if word != "" && !strings.Contains("\n"+strings.Join(r.words, "\n")+"\n", "\n"+word+"\n") {
			r.words = append(r.words, word)
		}
	}
	slices.Sort(r.words) // so that all have the same bytes
	return nil
}

func (r *running) of(name string) NodeStatus {
	for _, s := range r.Show() {
		if s.Name == name {
			return s
		}
	}
	return NodeStatus{}
}

// run runs until the test ends or stop is called.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}
