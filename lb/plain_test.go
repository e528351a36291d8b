package lb

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// TestPlainNginx: two nginx servers and no broker at all: the balancer is useful by itself. A
// server that stops is not missed.
func TestPlainNginx(t *testing.T) {
	covers.Req(t, "LB1")
	ca := newAuthority(t)
	pages := `location = /who { return 200 "%s $http_host $http_x_forwarded_for $http_x_forwarded_proto"; }`
	one := realserver.Nginx(t, realserver.NginxOptions{Config: fmt.Sprintf(pages, "one")})
	two := realserver.Nginx(t, realserver.NginxOptions{Config: fmt.Sprintf(pages, "two")})
	cfg := Config{
		Listeners: []Listener{
			{Name: "web", Listen: "127.0.0.1:0", Pool: "web", RedirectHTTPS: true},
			{Name: "secure", Listen: "127.0.0.1:0", Pool: "web"},
		},
		Pools: []Pool{{Name: "web", Method: "round-robin", Persistence: "none", Members: []Member{{Address: one.Addr}, {Address: two.Addr}}}},
	}
	cfg.Listeners[1].Cert, cfg.Listeners[1].Key = ca.issue(t, "www", 8, "www.company.com", "127.0.0.1")
	r := start(t, cfg)
	c := client(t, &tls.Config{RootCAs: ca.pool()})
	secure := r.Addr()["secure"].String()
	if status, _ := get(t, c, "http://"+r.addr+"/who"); status != http.StatusPermanentRedirect {
		t.Errorf("HTTP gets %d", status)
	}
	seen := make(map[string]int)
	for range 10 {
		status, body := get(t, c, "https://"+secure+"/who")
		name, rest, _ := strings.Cut(body, " ")
		if want := secure + " 127.0.0.1 https"; status != 200 || rest != want {
			t.Fatalf("%d %q, want %q", status, rest, want)
		}
		seen[name]++
	}
	if seen["one"] != 5 || seen["two"] != 5 {
		t.Errorf("requests went to %v", seen)
	}
	one.Stop()
	for range 10 {
		if status, body := get(t, c, "https://"+secure+"/who"); status != 200 || !strings.HasPrefix(body, "two ") {
			t.Errorf("without one: %d %q", status, body)
		}
	}
}

// TestHeaderLimit: a listener's limit holds, and a reload changes it for new connections.
func TestHeaderLimit(t *testing.T) {
	cfg := plainConfig(members(startBackend(t, says("a"))))
	r := start(t, cfg)
	ask := func(bytes int) string {
		t.Helper()
		const fixed = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: \r\n\r\n"
		return strings.SplitN(raw(t, r.addr, strings.Replace(fixed, "Cookie: ", "Cookie: "+strings.Repeat("c", bytes-len(fixed)), 1)), "\r\n", 2)[0]
	}
	for _, limit := range []int{0, 4 << 10, 64 << 10, 0} {
		next := cfg
		next.Listeners = []Listener{cfg.Listeners[0]}
		next.Listeners[0].HeaderLimit = limit
		r.reload(next)
		if limit == 0 {
			limit = DefaultHeaderLimit
		}
		if in, over := ask(limit), ask(limit+1); !strings.Contains(in, " 200 ") || !strings.Contains(over, " 431 ") {
			t.Errorf("limit %d: %q, above it %q", limit, in, over)
		}
	}
}
