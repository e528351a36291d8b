package lb

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/healthcheck"
	"switchpoint/lb/choice"
)

func TestSpreads(t *testing.T) {
	a, b := startBackend(t, says("a")), startBackend(t, says("b"))
	r := start(t, plainConfig(members(a, b)))
	c := client(t, nil)
	got := map[string]int{}
	for range 40 {
		status, body := get(t, c, "http://"+r.addr+"/x")
		if status != 200 {
			t.Fatalf("status %d: %s", status, body)
		}
		got[body]++
	}
	if got["a"] != 20 || got["b"] != 20 {
		t.Errorf("round robin gave %v", got)
	}
}

func TestPersistence(t *testing.T) {
	a, b := startBackend(t, says("a")), startBackend(t, says("b"))
	cfg := plainConfig(members(a, b))
	cfg.Pools[0].Persistence = "source-address"
	cfg.Listeners[0].TrustedProxies = []string{"127.0.0.0/8"}
	r := start(t, cfg)
	c := client(t, nil)
	from := func(source string) string {
		req, _ := http.NewRequest(http.MethodGet, "http://"+r.addr+"/", nil)
		req.Header.Set("X-Forwarded-For", "6.6.6.6, "+source)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	first, second := from("10.0.0.1"), from("10.0.0.2")
	if first == second {
		t.Fatalf("two sources, both on %s", first)
	}
	for range 10 {
		if got := from("10.0.0.1"); got != first {
			t.Fatalf("10.0.0.1 moved from %s to %s", first, got)
		}
		if got := from("10.0.0.2"); got != second {
			t.Fatalf("10.0.0.2 moved from %s to %s", second, got)
		}
	}
	// Its member dies: the source is bound anew, without an error, and stays there.
	alive := second
	if first == "a" {
		a.kill()
	} else {
		b.kill()
	}
	for range 10 {
		if got := from("10.0.0.1"); got != alive {
			t.Fatalf("10.0.0.1 got %q", got)
		}
	}
}

// TestFailover kills a member under load: nobody may see it (refused connects: 0 failed).
func TestFailover(t *testing.T) {
	a, b := startBackend(t, says("a")), startBackend(t, says("b"))
	cfg := plainConfig(members(a, b))
	cfg.Pools[0].Method = "least-response-time"
	r := start(t, cfg)
	var failed, done atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		c := client(t, nil)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := c.Get("http://" + r.addr + "/")
				if err != nil {
					failed.Add(1)
					continue
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
					failed.Add(1)
				}
				resp.Body.Close()
				done.Add(1)
			}
		})
	}
	eventually(t, "load", func() bool { return done.Load() > 200 })
	// Closing the listener first means that from then on connects are refused; requests that
	// the dying server has begun are finished by it.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := a.srv.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	at := done.Load()
	eventually(t, "load after the loss", func() bool { return done.Load() > at+300 })
	close(stop)
	wg.Wait()
	if failed.Load() != 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), done.Load())
	}
}

func TestAnswersWithoutMember(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deadAddr := dead.Addr().String()
	dead.Close()
	release := make(chan struct{})
	slow := startBackend(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	tests := []struct {
		name   string
		addr   string
		status int
	}{
		{"nobody listens", deadAddr, 503},
		{"no answer in time", slow.addr, 504},
		{"not HTTP", rawBackend(t, func(int, string) string { return "220 mail ready\r\n" }), 502},
		{"two lengths", rawBackend(t, func(int, string) string {
			return "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
		}), 502},
		{"length and chunks", rawBackend(t, func(int, string) string {
			return "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
		}), 502},
		{"chunks in 1.0", rawBackend(t, func(int, string) string {
			return "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
		}), 502},
		{"folded line", rawBackend(t, func(int, string) string { return "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 0\r\n\r\n" }), 502},
		{"bare LF", rawBackend(t, func(int, string) string { return "HTTP/1.1 200 OK\nX: 1\r\nContent-Length: 0\r\n\r\n" }), 502},
		{"space before the colon", rawBackend(t, func(int, string) string { return "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n" }), 502},
		{"body breaks off", rawBackend(t, func(int, string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-Inner: 1\r\n\r\nabc" }), 502},
		{"changes protocols unasked", rawBackend(t, func(int, string) string { return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" }), 502},
		{"endless interim answers", rawBackend(t, func(int, string) string { return strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100) }), 502},
		{"head too large", rawBackend(t, func(int, string) string { return "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) }), 502},
		{"closes without a word", rawBackend(t, func(int, string) string { return "" }), 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := plainConfig([]Member{{Address: tt.addr}})
			cfg.Pools[0].ResponseTimeout = 200 * ms
			r := start(t, cfg)
			out := raw(t, r.addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			out = strings.ReplaceAll(out, "HTTP/1.1 103 Early Hints\r\n\r\n", "") // passed on, up to a bound
			head, body, _ := strings.Cut(out, "\r\n\r\n")
			if !strings.HasPrefix(out, "HTTP/1.1 "+itoa(tt.status)+" ") {
				t.Fatalf("got %q", out)
			}
			if strings.Contains(head, "X-Inner") || strings.Contains(out, tt.addr) || len(body) == 0 || len(body) > 200 {
				t.Errorf("got %q", out)
			}
			if got := r.Explain("front", loopback).Members[0]; got.InFlight != 0 || got.Failing == 0 {
				t.Errorf("in flight %d, penalty %v", got.InFlight, got.Failing)
			}
		})
	}
}

func TestReloadKeepsState(t *testing.T) {
	a, b, c := startBackend(t, says("a")), startBackend(t, says("b")), startBackend(t, says("c"))
	cfg := plainConfig(members(a, b))
	cfg.Pools[0].Persistence = "source-address"
	r := start(t, cfg)
	cl := client(t, nil)
	_, first := get(t, cl, "http://"+r.addr+"/")
	before := r.Explain("front", loopback)
	for range 20 { // a third member comes, order and weights change
		next := plainConfig(members(c, b, a))
		next.Pools[0].Persistence = "source-address"
		next.Pools[0].Members[0].Weight = 9
		r.reload(next)
		if _, got := get(t, cl, "http://"+r.addr+"/"); got != first {
			t.Fatalf("persistence lost: %s, then %s", first, got)
		}
		r.reload(cfg)
		if _, got := get(t, cl, "http://"+r.addr+"/"); got != first {
			t.Fatalf("persistence lost: %s, then %s", first, got)
		}
	}
	after := r.Explain("front", loopback)
	if after.Member != before.Member || after.Reason != choice.Persisted.String() {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for i := range before.Members {
		if before.Members[i].TTFB > 0 && after.Members[i].TTFB == 0 {
			t.Errorf("average of %s lost", before.Members[i].Name)
		}
	}
	moved := cfg
	moved.Listeners = []Listener{{Name: "front", Listen: "127.0.0.1:1", Pool: "brokers"}}
	table, err := Compile(moved, noRef)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetTable(table); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("moved listener: %v", err)
	}
	if _, got := get(t, cl, "http://"+r.addr+"/"); got != first {
		t.Errorf("a refused table changed something: %s", got)
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	_, err = New(Options{Listeners: []Listener{{Name: "ok", Listen: "127.0.0.1:0"}, {Name: "taken", Listen: addr}}})
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{addr, "listener[1]", "change listen"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestDrain(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/slow" {
			close(inside)
			<-release
		}
		_, _ = io.WriteString(w, "done")
	}))
	r := start(t, plainConfig(members(a)))
	idle := client(t, nil)
	get(t, idle, "http://"+r.addr+"/")
	answer := make(chan string, 1)
	go func() { answer <- raw(t, r.addr, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n") }()
	<-inside
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	eventually(t, "connects are refused", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-stopped:
		t.Fatalf("Run returned %v with a request in flight", err)
	default:
	}
	close(release)
	out := <-answer
	if !strings.HasPrefix(out, "HTTP/1.1 200 ") || !strings.Contains(out, "Connection: close") || !strings.HasSuffix(out, "done") {
		t.Errorf("request in flight got %q", out)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestDrainIsBounded(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	a := startBackend(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(inside); <-release }))
	r := start(t, plainConfig(members(a)), func(o *Options) { o.DrainTimeout = 50 * ms })
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-inside
	began := time.Now()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	close(release)
}

// TestLogsKeepSecrets sends secrets in every place where they occur and reads the log.
func TestLogsKeepSecrets(t *testing.T) {
	var buf syncBuffer
	a := startBackend(t, says("a"))
	reg := prometheus.NewRegistry()
	r := start(t, plainConfig(members(a)), func(o *Options) {
		o.Log = slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Metrics = reg
	})
	raw(t, r.addr, "POST /login?ticket=SECRET1 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic SECRET2\r\nCookie: s=SECRET3\r\nContent-Length: 7\r\nConnection: close\r\n\r\nSECRET4")
	raw(t, r.addr, "GET /SECRET5 HTTP/1.1\r\nHost: x\r\nAuthorization : Basic SECRET6\r\n\r\n")
	raw(t, r.addr, "SECRET7\r\n\r\n")
	raw(t, r.addr, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: SECRET8"+strings.Repeat("8", 20<<10)+"\r\n\r\n")
	eventually(t, "the access log", func() bool { return strings.Contains(buf.String(), `"path":"/login"`) })
	out := buf.String()
	if strings.Contains(out, "SECRET") {
		t.Errorf("the log holds a secret: %s", out)
	}
	for _, want := range []string{`"status":200`, `"member":"a"`, `"client":"127.0.0.1"`, `"picked":"by the pool's method"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the log lacks %s: %s", want, out)
		}
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) != 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	eventually(t, "the counters", func() bool {
		l := r.live.Load().listeners[0]
		return testutil.ToFloat64(l.own().codes[0][2]) == 1 && testutil.ToFloat64(l.own().codes[1][4]) == 3
	})
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestSnapshotDecides(t *testing.T) {
	var snap *healthcheck.Snapshot // nothing is known: unknown members serve, once all are
	a := startBackend(t, says("a"))
	cfg := plainConfig(members(a))
	cfg.Pools[0].Monitor = "m"
	r := startWith(t, cfg, Options{Listeners: cfg.Listeners, Snapshot: func() *healthcheck.Snapshot { return snap }},
		func(k healthcheck.Key) healthcheck.Ref {
			if k != (healthcheck.Key{Address: a.addr, Monitor: "m"}) {
				t.Errorf("asked for %v", k)
			}
			return 7
		})
	if status, body := get(t, client(t, nil), "http://"+r.addr+"/"); status != 200 || body != "a" {
		t.Errorf("%d %s", status, body)
	}
	if e := r.Explain("front", loopback); e.Member != "a" || e.Members[0].State != "unknown" {
		t.Errorf("%+v", e)
	}
	if e := r.Explain("other", loopback); e.Member != "" || e.Reason == "" {
		t.Errorf("%+v", e)
	}
}
