package lb

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// TestFindRoute: the most specific route counts: exact host, longest suffix, any host, and the
// longest path within each.
func TestFindRoute(t *testing.T) {
	pools := map[string]int{"": -1}
	var routes []Route
	for i, name := range []string{
		"/api", "/api/v1", "/", "cb.company.com/", "cb.company.com/api", "*.company.com/static",
		"*.company.com/", "*.eu.company.com/", "[2001:db8::1]/", "CB.Other.com./x/", "root.com/only",
	} {
		host, path, _ := strings.Cut(name, "/")
		pools[name] = i
		routes = append(routes, Route{Host: host, Path: "/" + path, Pool: name})
	}
	table := compileRoutes(routes, pools)
	for _, tt := range []struct{ host, path, want string }{
		{"x.com", "/api", "/api"},
		{"x.com", "/api/", "/api"},
		{"x.com", "/apix", "/"},
		{"x.com", "/api/v1", "/api/v1"},
		{"x.com", "/api/v1x", "/api"},
		{"x.com", "/api/v1/z", "/api/v1"},
		{"x.com", "/API", "/"},
		{"", "*", "/"},
		{"cb.company.com", "/", "cb.company.com/"},
		{"CB.COMPANY.com.:8443", "/api/x", "cb.company.com/api"},
		{"other.company.com:80", "/static/x", "*.company.com/static"},
		{"a.b.company.com", "/x", "*.company.com/"},
		{"a.eu.company.com", "/static", "*.eu.company.com/"},
		{"eu.company.com", "/static", "*.company.com/static"},
		{"company.com", "/static", "/"},
		{"[2001:db8::1]:443", "/", "[2001:db8::1]/"},
		{"cb.other.com", "/x", "CB.Other.com./x/"},
		{"cb.other.com", "/y", "/"},
		{"root.com", "/api", "/api"},
		{strings.Repeat("a", 300) + ".company.com", "/", "/"},
	} {
		r := table.find([]byte(tt.host), []byte(tt.path))
		if r == nil || r.pool != pools[tt.want] {
			t.Errorf("%s%s: %+v, want %s", tt.host, tt.path, r, tt.want)
		}
	}
	host, path := []byte("a.b.Company.com:80"), []byte("/static/x")
	if n := testing.AllocsPerRun(100, func() { table.find(host, path) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if none := compileRoutes(nil, nil); none.find(host, path) != nil {
		t.Error("a route of an empty table")
	}
}

// routedConfig has the pools a, b and c, each with one member that says its name.
func routedConfig(t *testing.T, routes ...Route) Config {
	t.Helper()
	cfg := Config{Listeners: []Listener{{Name: "front", Listen: "127.0.0.1:0", Pool: "a", Routes: routes}}}
	for _, name := range []string{"a", "b", "c"} {
		b := startBackend(t, says(name))
		cfg.Pools = append(cfg.Pools, Pool{Name: name, Members: []Member{{Name: name, Address: b.addr}}})
	}
	return cfg
}

// TestRoutes: requests reach the pool of their route, also after a reload changed it, and what is
// explained is what happens.
func TestRoutes(t *testing.T) {
	covers.Req(t, "LB1")
	cfg := routedConfig(t, Route{Host: "*.company.com", Pool: "b"}, Route{Path: "/api", Pool: "c"},
		Route{Host: "old.company.com", Redirect: "https://new.company.com"},
		Route{Host: "old.company.com", Path: "/help", Redirect: "http://help.company.com/start?from=old", RedirectStatus: 302})
	r := start(t, cfg)
	c := client(t, nil)
	ask := func(host, path string) string {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, "http://"+r.addr+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if to := resp.Header.Get("Location"); to != "" {
			return fmt.Sprint(resp.StatusCode, " ", to)
		}
		var name [1]byte
		_, _ = resp.Body.Read(name[:])
		return string(name[:])
	}
	for _, tt := range []struct{ host, path, want string }{
		{"x.com", "/", "a"},
		{"x.com", "/api/login?x=/", "c"},
		{"cb.company.com:80", "/api", "b"},
		{"old.company.com:80", "/page?q=1", "308 https://new.company.com/page?q=1"},
		{"old.company.com", "/help/x", "302 http://help.company.com/start?from=old"},
	} {
		if got := ask(tt.host, tt.path); got != tt.want {
			t.Errorf("%s%s: %s, want %s", tt.host, tt.path, got, tt.want)
		}
		e := r.ExplainRequest("front", loopback, tt.host, tt.path)
		if e.Member != tt.want && !strings.HasSuffix(tt.want, " "+e.Redirect) {
			t.Errorf("explained %+v, want %s", e, tt.want)
		}
	}
	if text := strings.Join(r.ExplainRequest("front", loopback, "cb.company.com", "/").Lines(), "\n"); !strings.Contains(text, "route:       *.company.com/") {
		t.Errorf("%s", text)
	}
	if e := r.ExplainRequest("front", loopback, "a b", "x"); e.Pool != "" || !strings.Contains(e.Reason, "malformed") {
		t.Errorf("%+v", e)
	}
	next := cfg
	next.Listeners = []Listener{cfg.Listeners[0]}
	next.Listeners[0].Routes = []Route{{Host: "cb.company.com", Pool: "c"}}
	r.reload(next)
	if got := ask("cb.company.com", "/") + ask("x.com", "/api"); got != "ca" {
		t.Errorf("after the reload %q", got)
	}
}

// TestRoutedProbe: a probe is told of the pool that its host's requests get, never redirected; one
// without a Host is told of the listener's own.
func TestRoutedProbe(t *testing.T) {
	covers.Req(t, "LB11")
	cfg := routedConfig(t, Route{Host: "down.company.com", Pool: "b"}, Route{Host: "old.company.com", Redirect: "https://new.company.com"})
	cfg.Pools[1].Monitor = "m"
	engine := healthcheck.New(healthcheck.Options{}) // its snapshot knows nothing of the monitor
	r := startWith(t, cfg, Options{Listeners: cfg.Listeners, Snapshot: engine.Snapshot}, func(healthcheck.Key) healthcheck.Ref { return 1 })
	for host, alive := range map[string]bool{"x.com": true, "old.company.com": true, "down.company.com": false} {
		out := raw(t, r.addr, "GET /index.pl?action=is_alive HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if strings.Contains(out, "CB_IS_OKAY") != alive || !alive && out != "" {
			t.Errorf("%s: %q", host, out)
		}
		if e := r.ExplainRequest("front", loopback, host, "/index.pl?action=is_alive"); (e.Pool == "a") != alive || e.Redirect != "" {
			t.Errorf("%s: explained %+v", host, e)
		}
	}
	if out := raw(t, r.addr, "GET /index.pl?action=is_alive\r\n\r\n"); !strings.Contains(out, "CB_IS_OKAY") {
		t.Errorf("without a Host: %q", out)
	}
}

// TestRedirectHTTPS: everything but probes goes to https, to the same host and path.
func TestRedirectHTTPS(t *testing.T) {
	covers.Req(t, "LB1")
	a := startBackend(t, says("a"))
	cfg := plainConfig(members(a))
	cfg.Listeners[0].RedirectHTTPS, cfg.Listeners[0].TrustedProxies = true, []string{"127.0.0.1"}
	usual := start(t, cfg)
	cfg.Listeners = []Listener{cfg.Listeners[0]}
	cfg.Listeners[0].RedirectPort, cfg.Listeners[0].RedirectStatus = 8443, 301
	other := start(t, cfg)
	const end = "\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct{ in, usual, other string }{
		{"GET /a/../b%2f?q=%zz&x HTTP/1.1\r\nHost: cb.company.com:8080" + end, "308 cb.company.com/a/../b%2f?q=%zz&x", "301 cb.company.com:8443/a/../b%2f?q=%zz&x"},
		{"POST / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\nContent-Length: 0" + end, "308 [2001:db8::1]/", "301 [2001:db8::1]:8443/"},
		{"GET / HTTP/1.1\r\nHost: [2001:db8::1]" + end, "308 [2001:db8::1]/", "301 [2001:db8::1]:8443/"},
		{"GET http://other:81?q HTTP/1.1\r\nHost: x" + end, "308 other/?q", "301 other:8443/?q"},
		{"OPTIONS * HTTP/1.1\r\nHost: x" + end, "308 x/", "301 x:8443/"},
	} {
		for r, want := range map[*running]string{usual: tt.usual, other: tt.other} {
			status, to, _ := strings.Cut(want, " ")
			out := raw(t, r.addr, tt.in)
			if !strings.HasPrefix(out, "HTTP/1.1 "+status+" ") || !strings.Contains(out, "\r\nLocation: https://"+to+"\r\n") {
				t.Errorf("%q got %q, want %s", tt.in, out, want)
			}
		}
	}
	for _, probe := range []string{
		"GET /index.pl?action=is_alive\r\n\r\n", "GET /index.pl?action=is_alive HTTP/1.0\r\n\r\n",
		"GET /index.pl?action=is_alive HTTP/1.1\r\nHost: x" + end,
	} {
		if out := raw(t, usual.addr, probe); !strings.HasPrefix(out, "HTTP/1.1 200 ") && !strings.HasPrefix(out, "HTTP/1.0 200 ") {
			t.Errorf("probe %q got %q", probe, out)
		}
	}
	if out := raw(t, usual.addr, "GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 400 ") {
		t.Errorf("without a Host: %q", out)
	}
	// A proxy in front that ends TLS itself would send its clients in circles.
	if out := raw(t, usual.addr, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https"+end); !strings.HasSuffix(out, "\r\n\r\na") {
		t.Errorf("behind a TLS proxy: %q", out)
	}
	if e := usual.ExplainRequest("front", loopback, "cb.company.com", "/x"); e.Redirect != "https://cb.company.com/x" || e.Member != "" {
		t.Errorf("%+v", e)
	}
}

// TestRouteMetrics: a pool that no route leads to any more leaves no series of the listener.
func TestRouteMetrics(t *testing.T) {
	cfg := routedConfig(t, Route{Path: "/b", Pool: "b"})
	r := start(t, cfg)
	if _, got := get(t, client(t, nil), "http://"+r.addr+"/b"); got != "b" {
		t.Fatalf("got %q", got)
	}
	has := func(pool string) bool {
		return r.metrics.requests.DeletePartialMatch(map[string]string{"listener": "front", "pool": pool}) > 0
	}
	next := cfg
	next.Listeners = []Listener{cfg.Listeners[0]}
	next.Listeners[0].Routes = nil
	r.reload(next)
	if has("b") || !has("a") {
		t.Error("the series of a pool do not follow the routes")
	}
}
