package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/healthcheck"
	"switchpoint/peer"
)

func noCall(context.Context, string, string, []byte) ([]byte, error) {
	return nil, errors.New("there is no network")
}

// world is some gtm nodes in one process, each with its own peer listener, health engine, anchor
// and state directory, and one target that can show itself to each node in another way.
type world struct {
	t      *testing.T
	target healthcheck.Key
	moved  chan struct{} // something may have changed
	sites  map[string]*site

	mu     sync.Mutex
	status map[string]int         // what the target answers to a node; 0: 200
	cut    map[[2]string]struct{} // who cannot call whom
}

// site is one node.
type site struct {
	*Nodes
	name     string
	dir      string
	peer     *peer.Node
	engine   *healthcheck.Engine
	anchor   net.Listener
	registry *prometheus.Registry
	logged   *logged
	current  atomic.Pointer[Nodes] // of now: a site can restart
	stop     func()                // ends the Nodes
}

// logged is what was logged.
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

const testInterval = 100 * time.Millisecond

// newWorld starts nodes of these names, which see the target up and are in touch.
func newWorld(t *testing.T, names ...string) *world {
	w := &world{
		t: t, moved: make(chan struct{}, 1), sites: make(map[string]*site),
		status: make(map[string]int), cut: make(map[[2]string]struct{}),
	}
	target := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		code := w.status[r.URL.Path[1:]]
		w.mu.Unlock()
		if code != 0 {
			rw.WriteHeader(code)
		}
	}))
	t.Cleanup(target.Close)
	w.target = healthcheck.Key{Address: target.Listener.Addr().String(), Monitor: "web"}
	var trust []peer.Trust
	for _, name := range names {
		s := &site{name: name, dir: t.TempDir()}
		id, err := peer.LoadIdentity(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		if s.peer, err = peer.New(peer.Options{Config: peer.Config{Listen: "127.0.0.1:0"}, Identity: id, Name: name}); err != nil {
			t.Fatal(err)
		}
		w.sites[name] = s
		trust = append(trust, peer.Trust{Name: name, Cluster: "gtm", Key: id.PublicKey(), Address: s.peer.Addr().String()})
	}
	for i, name := range names {
		s := w.sites[name]
		table, err := peer.Compile(peer.Config{Trust: trust}, trust[i].Key)
		if err != nil {
			t.Fatal(err)
		}
		s.peer.SetTable(table)
		for method := range (&Nodes{}).Handlers() {
			s.peer.Handle(method, func(ctx context.Context, from peer.Trust, body []byte) ([]byte, error) {
				if n := s.current.Load(); n != nil {
					return n.Handlers()[method](ctx, from, body)
				}
				return nil, errors.New("not running")
			})
		}
		run(t, s.peer.Run)
		w.startEngine(s)
		s.anchor = listen(t)
		w.start(s, Config{Members: names, Anchors: []string{s.anchor.Addr().String()}, Interval: testInterval})
	}
	for _, s := range w.sites {
		w.until(s.name+" sees the target and the others", func() bool {
			for _, node := range s.Show() {
				if !node.Live || node.Checks != 1 {
					return false
				}
			}
			return s.state() == up
		})
	}
	return w
}

func (w *world) startEngine(s *site) {
	table, err := healthcheck.Compile(healthcheck.Config{
		Checks: []healthcheck.Key{w.target},
		Monitors: []healthcheck.Monitor{{
			Name: "web", Kind: "http", Send: "GET /" + s.name, Interval: 100 * time.Millisecond, Timeout: 90 * time.Millisecond, Fall: 2, Rise: 1,
		}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	s.engine = healthcheck.New(healthcheck.Options{})
	s.engine.SetTable(table)
	run(w.t, s.engine.Run)
	run(w.t, func(ctx context.Context) error { // what the director of a server does
		sub := s.engine.Subscribe()
		defer sub.Close()
		for {
			if _, _, err := sub.Next(ctx); err != nil {
				return nil
			}
			s.state()
			w.changed()
		}
	})
}

// start starts the Nodes of a site.
func (w *world) start(s *site, c Config) {
	w.t.Helper()
	s.registry, s.logged = prometheus.NewRegistry(), &logged{}
	n, err := New(Options{
		Config: c, Name: s.name, StateDir: s.dir, Snapshot: s.engine.Snapshot, Subscribe: s.engine.Subscribe,
		Call: w.call(s), Changed: w.changed, Log: slog.New(slog.NewTextHandler(s.logged, nil)), Metrics: s.registry,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	n.SetChecks(map[healthcheck.Key]healthcheck.Ref{w.target: s.engine.Ref(w.target)})
	s.Nodes = n
	s.current.Store(n)
	stop := run(w.t, n.Run)
	s.stop = func() {
		s.current.Store(nil)
		stop()
	}
}

// call is peer.Node.Call over a network that can be cut.
func (w *world) call(s *site) func(context.Context, string, string, []byte) ([]byte, error) {
	return func(ctx context.Context, to, method string, body []byte) ([]byte, error) {
		w.mu.Lock()
		_, cut := w.cut[[2]string{s.name, to}]
		w.mu.Unlock()
		if cut {
			return nil, fmt.Errorf("%w: %s", peer.ErrUnreachable, to)
		}
		return s.peer.Call(ctx, to, method, body)
	}
}

// partition cuts one node off from all others, heal ends that.
func (w *world) partition(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for other := range w.sites {
		w.cut[[2]string{name, other}], w.cut[[2]string{other, name}] = struct{}{}, struct{}{}
	}
}

func (w *world) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
}

// answer is what the target answers to nodes from now on.
func (w *world) answer(code int, names ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		w.status[name] = code
	}
}

func (w *world) changed() {
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

// until waits for a condition that a change brings about; what no change tells of, such as what
// nodes know of each other's documents, it looks at ten times a second.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	deadline, look := time.NewTimer(15*time.Second), time.NewTicker(100*time.Millisecond)
	defer deadline.Stop()
	defer look.Stop()
	for !cond() {
		select {
		case <-w.moved:
		case <-look.C:
		case <-deadline.C:
			for _, s := range w.sites {
				w.t.Logf("%s: %v\n%+v\n%s", s.name, s.status(), s.Show(), s.logged)
			}
			w.t.Fatalf("it does not come about that %s", what)
		}
	}
}

func (s *site) status() healthcheck.Status {
	snap := s.engine.Snapshot()
	if n := s.current.Load(); n != nil {
		return n.Status(snap)(0)
	}
	return snap.Get(0)
}

// state is that of the target as the node answers from.
func (s *site) state() healthcheck.State { return s.status().State }

// own is that of the target as the node itself sees it.
func (s *site) own() healthcheck.State { return s.engine.Snapshot().Get(0).State }

// of is what the site knows of a node.
func (s *site) of(name string) NodeStatus {
	for _, node := range s.Show() {
		if node.Name == name {
			return node
		}
	}
	return NodeStatus{}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // some tests close it themselves
	return l
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
