package lb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
)

// gated is a backend whose answers the test lets out one by one, and that notes the order in
// which requests came and how many were there at once.
type gated struct {
	*backend
	gate chan struct{}

	mu        sync.Mutex
	got       []string
	now, most int
}

func startGated(t *testing.T) *gated {
	g := &gated{gate: make(chan struct{}, 1000)}
	g.backend = startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.got = append(g.got, r.URL.Path)
		g.now++
		g.most = max(g.most, g.now)
		g.mu.Unlock()
		select {
		case <-g.gate:
		case <-r.Context().Done():
		}
		g.mu.Lock()
		g.now--
		g.mu.Unlock()
		_, _ = io.WriteString(w, "a")
	}))
	t.Cleanup(func() { close(g.gate) })
	return g
}

func (g *gated) paths() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.got)
}

// asked is a request that was sent on a connection of its own.
type asked struct {
	net.Conn
	*bufio.Reader
}

func askFor(t *testing.T, addr, path string) asked {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	return asked{c, bufio.NewReader(c)}
}

func (a asked) answer(t *testing.T) (status int, head http.Header) {
	t.Helper()
	resp, err := http.ReadResponse(a.Reader, nil)
	for err == nil && resp.StatusCode < 200 {
		resp, err = http.ReadResponse(a.Reader, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header
}

func (r *running) queued() int64 { return r.live.Load().pools[0].waits.Load() }

func (r *running) ends(end waited) float64 {
	return testutil.ToFloat64(r.metrics.waits.WithLabelValues("brokers", end.String()))
}

// limited is a pool whose one member takes most requests at once.
func limited(g *gated, most int) Config {
	cfg := plainConfig([]Member{{Name: "a", Address: g.addr, MaxInFlight: most}})
	cfg.Pools[0].Method = DefaultMethod
	return cfg
}

// TestQueue: what finds no place waits, in order, and never more than the limit get through.
func TestQueue(t *testing.T) {
	covers.Req(t, "LB4")
	g := startGated(t)
	cfg := limited(g, 2)
	cfg.Pools[0].Queue = 4
	r := start(t, cfg)
	var all []asked
	for n := range 6 {
		all = append(all, askFor(t, r.addr, fmt.Sprintf("/%d", n)))
		eventually(t, "the request is there or waits", func() bool { return int(r.queued())+len(g.paths()) == n+1 })
	}
	if p := g.paths(); len(p) != 2 || r.queued() != 4 {
		t.Fatalf("%v at the member, %d wait", p, r.queued())
	}
	status, head := askFor(t, r.addr, "/over").answer(t)
	if status != 503 || head.Get("Retry-After") == "" || r.ends(queueFull) != 1 {
		t.Errorf("over the bound: %d, %v", status, head)
	}
	if st := r.Status().Pools[0]; st.Queued != 4 || st.QueueLimit != 4 || st.Members[0].InFlight != 2 || st.Members[0].MaxInFlight != 2 {
		t.Errorf("status %+v", st)
	}
	for n := range 6 {
		g.gate <- struct{}{}
		eventually(t, "the next one comes in", func() bool { return len(g.paths()) == min(n+3, 6) })
	}
	for n, a := range all {
		if status, _ := a.answer(t); status != 200 {
			t.Errorf("request %d: %d", n, status)
		}
	}
	if p := g.paths(); !slices.Equal(p[2:], []string{"/2", "/3", "/4", "/5"}) || g.most > 2 {
		t.Errorf("they came in the order %v, %d at once", p, g.most)
	}
	if r.queued() != 0 || r.ends(gotPlace) != 4 {
		t.Errorf("%d wait, %v were served", r.queued(), r.ends(gotPlace))
	}
}

// TestPlaceAllocatesNothing: a choice under limits, words and groups costs nothing where nobody
// waits.
func TestPlaceAllocatesNothing(t *testing.T) {
	cfg := plainConfig([]Member{{Name: "a", Address: "192.0.2.1:80", MaxInFlight: 1, Priority: 2}, {Name: "b", Address: "192.0.2.2:80", MaxInFlight: 5}, {Name: "c", Address: "192.0.2.3:80", Weight: 3}})
	cfg.Pools[0].Method, cfg.Pools[0].MinActive = DefaultMethod, 2
	r := start(t, cfg)
	r.say(word(Drain, "c"))
	lp := r.live.Load().pools[0]
	if !lp.ups[0].enter(0, 0, time.Second) {
		t.Fatal("no place")
	}
	defer lp.left(lp.ups[0], 0, 0)
	var q choice.Question
	once := func() {
		lp.ask(&q, loopback, nil, r.now())
		i, why := lp.take(&q, r.now(), newcomer)
		if i != 1 {
			t.Fatalf("picked %d, %s", i, why.How)
		}
		lp.left(lp.ups[i], r.now(), 0)
	}
	once()
	if n := testing.AllocsPerRun(200, once); n != 0 {
		t.Errorf("%v allocations for each choice", n)
	}
}

// TestQueueTimeout: a wait ends, and says so; the connection goes on.
func TestQueueTimeout(t *testing.T) {
	g := startGated(t)
	cfg := limited(g, 1)
	cfg.Pools[0].QueueTimeout = 100 * ms
	r := start(t, cfg)
	first := askFor(t, r.addr, "/0")
	eventually(t, "the first is there", func() bool { return len(g.paths()) == 1 })
	late := askFor(t, r.addr, "/1")
	if status, head := late.answer(t); status != 503 || head.Get("Retry-After") == "" || r.ends(queueLate) != 1 {
		t.Errorf("%d %v", status, head)
	}
	g.gate <- struct{}{}
	first.answer(t)
	g.gate <- struct{}{}
	if _, err := io.WriteString(late, "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if status, _ := late.answer(t); status != 200 {
		t.Errorf("the next request of that client: %d", status)
	}
	if m := r.Status().Pools[0].Members[0]; m.InFlight != 0 || m.Failing != 0 {
		t.Errorf("waiting is no fault of the member: %+v", m)
	}
}

// TestQueueLeft: a client that goes frees its place; one that has only closed its side waits on.
func TestQueueLeft(t *testing.T) {
	g := startGated(t)
	r := start(t, limited(g, 1))
	first := askFor(t, r.addr, "/0")
	eventually(t, "the first is there", func() bool { return len(g.paths()) == 1 })
	gone := askFor(t, r.addr, "/1")
	eventually(t, "one waits", func() bool { return r.queued() == 1 })
	half := askFor(t, r.addr, "/2")
	eventually(t, "two wait", func() bool { return r.queued() == 2 })
	last := askFor(t, r.addr, "/3")
	eventually(t, "three wait", func() bool { return r.queued() == 3 })
	if err := half.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	eventually(t, "its place is free", func() bool { return r.queued() == 2 && r.ends(queueLeft) == 1 })
	for range 3 {
		g.gate <- struct{}{}
	}
	for i, a := range []asked{first, half, last} {
		if status, _ := a.answer(t); status != 200 {
			t.Errorf("%d: %d", i, status)
		}
	}
	if p := g.paths(); slices.Contains(p, "/1") || len(p) != 3 {
		t.Errorf("at the member: %v", p)
	}
}

// TestQueueSlowBody: the time that a request waits is not held against a client that has a body to
// send.
func TestQueueSlowBody(t *testing.T) {
	g := startGated(t)
	r := start(t, limited(g, 1), func(o *Options) { o.ReadTimeout = 300 * ms })
	first := askFor(t, r.addr, "/0")
	eventually(t, "the first is there", func() bool { return len(g.paths()) == 1 })
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	second := asked{c, bufio.NewReader(c)}
	if _, err := io.WriteString(c, "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\nhello"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it waits", func() bool { return r.queued() == 1 })
	began := time.Now()
	eventually(t, "longer than a body may take", func() bool { return time.Since(began) > 700*ms })
	g.gate <- struct{}{}
	eventually(t, "it is there", func() bool { return len(g.paths()) == 2 })
	if _, err := io.WriteString(c, strings.Repeat("x", 200000-5)); err != nil {
		t.Fatal(err)
	}
	g.gate <- struct{}{}
	for i, a := range []asked{first, second} {
		if status, _ := a.answer(t); status != 200 {
			t.Errorf("%d: %d", i, status)
		}
	}
}

// TestQueueReload: a reload that brings places lets those in who wait, whatever it changes beside;
// one that takes the limit away all of them.
func TestQueueReload(t *testing.T) {
	covers.Req(t, "LB7")
	g, b := startGated(t), startBackend(t, says("b"))
	cfg := limited(g, 1)
	r := start(t, cfg)
	first := askFor(t, r.addr, "/0")
	eventually(t, "the first is there", func() bool { return len(g.paths()) == 1 })
	waiting := []asked{askFor(t, r.addr, "/1"), askFor(t, r.addr, "/2")}
	eventually(t, "two wait", func() bool { return r.queued() == 2 })

	more := cfg
	more.Pools = slices.Clone(cfg.Pools)
	more.Pools[0].Members = []Member{{Name: "b", Address: b.addr, MaxInFlight: 1}, {Name: "a", Address: g.addr, MaxInFlight: 1}}
	r.reload(more)
	for i, a := range waiting {
		if status, _ := a.answer(t); status != 200 {
			t.Errorf("%d: %d", i, status)
		}
	}
	eventually(t, "the new member's answers are counted, the old one's request is not forgotten", func() bool {
		m := r.Status().Pools[0].Members
		return m[1].InFlight == 1 && m[0].Requests["2xx"] == 2
	})
	r.reload(cfg)
	third := askFor(t, r.addr, "/3")
	eventually(t, "it waits", func() bool { return r.queued() == 1 })
	free := cfg
	free.Pools = slices.Clone(cfg.Pools)
	free.Pools[0].Members = []Member{{Name: "a", Address: g.addr}}
	r.reload(free)
	eventually(t, "the limit is gone", func() bool { return len(g.paths()) == 2 })
	g.gate <- struct{}{}
	g.gate <- struct{}{}
	for _, a := range []asked{first, third} {
		if status, _ := a.answer(t); status != 200 {
			t.Errorf("%d", status)
		}
	}
}
