package lb

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"switchpoint/healthcheck"
	"switchpoint/healthcheck/isalive"
	"switchpoint/internal/covers"
)

func TestPoolAnswer(t *testing.T) {
	st := func(s healthcheck.State, active, capacity int, mode string) healthcheck.Status {
		return healthcheck.Status{State: s, Load: healthcheck.Load{Active: active, Capacity: capacity, Mode: mode}}
	}
	const up, over, down = healthcheck.Up, healthcheck.Overloaded, healthcheck.Down
	tests := []struct {
		name   string
		states []healthcheck.Status
		want   isalive.Answer
	}{
		{"empty pool", nil, isalive.Answer{Status: 0, Active: -1, Capacity: -1}},
		{"all down", []healthcheck.Status{st(down, 1, 10, "normal")}, isalive.Answer{Active: -1, Capacity: -1}},
		{"not known yet", []healthcheck.Status{st(healthcheck.Unknown, -1, -1, "")}, isalive.Answer{Active: -1, Capacity: -1}},
		{"draining", []healthcheck.Status{st(healthcheck.Draining, 1, 2, "draining")}, isalive.Answer{Active: -1, Capacity: -1}},
		{"one up, silent", []healthcheck.Status{st(down, -1, -1, ""), st(up, -1, -1, "")}, isalive.Answer{Status: 200, Active: -1, Capacity: -1}},
		{"sums over those that said so", []healthcheck.Status{st(up, 3, 10, "normal"), st(up, -1, -1, ""), st(up, 4, 20, "normal")}, isalive.Answer{Status: 200, Mode: "normal", Active: 7, Capacity: 30}},
		{"the overloaded count in the sums", []healthcheck.Status{st(over, 10, 10, "leased"), st(up, 1, 10, "normal"), st(down, 5, 10, "normal")}, isalive.Answer{Status: 200, Mode: "normal", Active: 11, Capacity: 20}},
		{"all overloaded", []healthcheck.Status{st(over, 9, 9, "normal"), st(down, -1, -1, "")}, isalive.Answer{Status: 503, Mode: "normal", Active: 9, Capacity: 9}},
		{"who steps aside carries nothing for anybody", []healthcheck.Status{st(over, 0, 64, "draining"), st(up, 3, 10, "normal")}, isalive.Answer{Status: 200, Mode: "normal", Active: 3, Capacity: 10}},
		{"all step aside", []healthcheck.Status{st(over, 0, 64, "draining"), st(down, -1, -1, "")}, isalive.Answer{Status: 503, Mode: "draining", Active: -1, Capacity: -1}},
		{"modes, normal first, each once", []healthcheck.Status{st(up, -1, -1, "leased"), st(up, -1, -1, "hostcache"), st(up, -1, -1, "normal"), st(up, -1, -1, "leased")}, isalive.Answer{Status: 200, Mode: "normal,hostcache,leased", Active: -1, Capacity: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := poolAnswer(tt.states); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// probed is a broker that answers is_alive with a status that the test sets; 0 aborts.
type probed struct {
	status atomic.Int64
	*backend
}

func startProbed(t *testing.T, active, capacity, mode string) *probed {
	p := &probed{}
	p.status.Store(200)
	p.backend = startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := int(p.status.Load())
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set(isalive.HeaderActive, active)
		w.Header().Set(isalive.HeaderCapacity, capacity)
		w.Header().Set(isalive.HeaderMode, mode)
		w.WriteHeader(status)
		if status == 200 {
			_, _ = w.Write([]byte(isalive.BodyOK))
		}
	}))
	return p
}

// startEngine runs health checks by m for the one monitor that cfg names, fast, and waits for the
// first round.
func startEngine(t *testing.T, cfg Config, m healthcheck.Monitor) *healthcheck.Engine {
	t.Helper()
	m.Name, m.Rise = cfg.Pools[0].Monitor, 1
	if m.Interval == 0 {
		m.Interval, m.Timeout, m.Fall = 100*ms, 90*ms, 1
	}
	engine := healthcheck.New(healthcheck.Options{})
	table, err := healthcheck.Compile(healthcheck.Config{Monitors: []healthcheck.Monitor{m}, Checks: cfg.Checks()})
	if err != nil {
		t.Fatal(err)
	}
	engine.SetTable(table)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-engine.Ready()
	return engine
}

func TestOwnIsAlive(t *testing.T) {
	covers.Req(t, "LB11")
	ca := newAuthority(t)
	cert, key := ca.issue(t, "lb", 2, "127.0.0.1")
	a, b := startProbed(t, "3", "10", "normal"), startProbed(t, "4", "20", "leased")
	cfg := plainConfig(members(a.backend, b.backend))
	cfg.Pools[0].Monitor = "broker"
	cfg.Listeners = append(cfg.Listeners, Listener{Name: "secure", Listen: "127.0.0.1:0", Pool: "brokers", Cert: cert, Key: key})

	engine := startEngine(t, cfg, healthcheck.Monitor{Kind: "http"})
	r := startWith(t, cfg, Options{Listeners: cfg.Listeners, Snapshot: engine.Snapshot}, engine.Ref)
	secure := r.Addr()["secure"].String()

	ask := func(request string, overTLS bool) string {
		if !overTLS {
			return raw(t, r.addr, request)
		}
		c, err := tls.Dial("tcp", secure, &tls.Config{RootCAs: ca.pool()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return rawOn(t, c, request)
	}
	const target = "GET /index.pl?action=is_alive"
	forms := map[string]string{
		"no version, one CRLF":  target + "\r\n",
		"no version, two CRLF":  target + "\r\n\r\n",
		"HTTP/1.0":              target + " HTTP/1.0\r\n\r\n",
		"HTTP/1.1 without Host": target + " HTTP/1.1\r\n\r\n",
		"HTTP/1.1":              target + " HTTP/1.1\r\nHost: cb.company.com\r\nConnection: close\r\n\r\n",
		"old name":              "GET /index.pl?action=cb_status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"old name, no version":  "GET /index.pl?action=cb_status\r\n\r\n",
		"absolute form":         "GET http://x/index.pl?action=is_alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	}
	check := func(what, start string, contains ...string) {
		t.Helper()
		for name, request := range forms {
			for _, overTLS := range []bool{false, true} {
				out := ask(request, overTLS)
				if start == "" && out != "" || !strings.HasPrefix(out, start) {
					t.Errorf("%s, %s, TLS %v: got %q", what, name, overTLS, out)
				}
				for _, want := range contains {
					if !strings.Contains(out, want) {
						t.Errorf("%s, %s, TLS %v: %q lacks %q", what, name, overTLS, out, want)
					}
				}
			}
		}
	}
	state := func(what string, x, y healthcheck.State) {
		t.Helper()
		eventually(t, what, func() bool {
			e := r.Explain("front", loopback)
			return e.Members[0].State == x.String() && e.Members[1].State == y.String()
		})
	}
	state("both up", healthcheck.Up, healthcheck.Up)
	check("both up", "HTTP/1.1 200 OK\r\n", "\r\nX-Broker-Capacity: 30\r\n", "\r\nX-Broker-Active: 7\r\n", "\r\nX-Broker-Mode: normal,leased\r\n", "\r\n\r\nCB_IS_OKAY")

	a.status.Store(503)
	state("one overloaded", healthcheck.Overloaded, healthcheck.Up)
	check("one overloaded", "HTTP/1.1 200 OK\r\n", "\r\nX-Broker-Capacity: 30\r\n", "\r\nX-Broker-Mode: leased\r\n", "CB_IS_OKAY")

	b.status.Store(503)
	state("both overloaded", healthcheck.Overloaded, healthcheck.Overloaded)
	check("both overloaded", "HTTP/1.1 503 ", "\r\nX-Broker-Capacity: 30\r\n", "CB_IS_BUSY")

	a.status.Store(0)
	b.status.Store(0)
	state("none", healthcheck.Down, healthcheck.Down)
	check("none", "")
	if out := raw(t, r.addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 503 ") || !strings.Contains(out, "Retry-After: ") {
		t.Errorf("a request with no member up got %q", out)
	}

	// The page is the balancer's own only for GET and HEAD of exactly that page.
	a.status.Store(200)
	state("one up again", healthcheck.Up, healthcheck.Down)
	if out := raw(t, r.addr, "HEAD /index.pl?action=is_alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 200 ") || strings.Contains(out, "CB_IS_OKAY") {
		t.Errorf("HEAD got %q", out)
	}
	if out := raw(t, r.addr, "GET /index.pl?action=login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); strings.Contains(out, "X-Broker-Capacity: 30") || !strings.Contains(out, "X-Broker-Capacity: 10") {
		t.Errorf("another page was not the broker's: %q", out)
	}
}

// TestLegacyProbeOff: with legacy_probe = false a version-less request is a malformed one; a
// reload changes it.
func TestLegacyProbeOff(t *testing.T) {
	a := startBackend(t, says("a"))
	cfg := plainConfig(members(a))
	r := start(t, cfg)
	const probe = "GET /index.pl?action=is_alive\r\n\r\n"
	if out := raw(t, r.addr, probe); !strings.HasPrefix(out, "HTTP/1.1 200 ") {
		t.Errorf("on: %q", out)
	}
	off := false
	next := cfg
	next.Listeners = []Listener{cfg.Listeners[0]}
	next.Listeners[0].LegacyProbe = &off
	r.reload(next)
	if out := raw(t, r.addr, probe); !strings.HasPrefix(out, "HTTP/1.1 400 ") {
		t.Errorf("off: %q", out)
	}
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out := rawOn(t, c, "GET /index.pl?action=is_alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(out, "CB_IS_OKAY") {
		t.Errorf("the page itself: %q", out)
	}
}
