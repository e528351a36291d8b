package lb

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/internal/problem"
)

// TestValidateListener: each fault of a listener's settings is told at its place, with a cure.
func TestValidateListener(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "lb", 2, "127.0.0.1")
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	secure := func(l *Listener) { l.Cert, l.Key = cert, key }
	routes := func(r ...Route) func(*Listener) { return func(l *Listener) { l.Routes = r } }
	tests := []struct {
		name string
		edit func(*Listener)
		path string // of the only problem, empty for none
		what string
	}{
		{"all settings", func(l *Listener) {
			secure(l)
			l.Certificates = []Certificate{{cert, key}}
			l.TrustedProxies, l.ProxyProtocol, l.Forwarded = []string{"10.0.0.0/8"}, "any", true
			l.RequestID, l.RequestIDAnswer, l.HeaderLimit = "X-Id", true, 65536
			l.AccessLog, l.AccessLogSample = "access.log", 100
			l.Routes = []Route{{Host: "*.a.com", Path: "/x/", Pool: "brokers"}, {Host: "[::1]", Pool: "brokers"}, {Path: "/y", Redirect: "https://[2001:db8::1]:8443/z?q=%20", RedirectStatus: 301}}
		}, "", ""},
		{"certificates without a default", func(l *Listener) { l.Certificates = []Certificate{{cert, key}} }, "cert", "no default"},
		{"certificate without key", func(l *Listener) { secure(l); l.Certificates = []Certificate{{Cert: cert}} }, "certificate[0].key", "without key"},
		{"key without certificate", func(l *Listener) { secure(l); l.Certificates = []Certificate{{Key: key}} }, "certificate[0].cert", "without cert"},
		{"no such certificate", func(l *Listener) { secure(l); l.Certificates = []Certificate{{cert, key}, {"/no/x.pem", key}} }, "certificate[1].cert", "/no/x.pem"},
		{"tickets without TLS", func(l *Listener) { l.TicketSecret = "file:" + short }, "ticket_secret", "TLS"},
		{"short ticket secret", func(l *Listener) { secure(l); l.TicketSecret = "file:" + short }, "ticket_secret", "5 bytes"},
		{"ticket secret in the file", func(l *Listener) { secure(l); l.TicketSecret = "geheim" }, "ticket_secret", "must not stand"},
		{"unknown PROXY version", func(l *Listener) { l.TrustedProxies, l.ProxyProtocol = []string{"10.0.0.1"}, "v3" }, "proxy_protocol", "v3"},
		{"PROXY from nobody", func(l *Listener) { l.ProxyProtocol = "v1" }, "trusted_proxies", "nobody"},
		{"id field with a blank", func(l *Listener) { l.RequestID = "X Id" }, "request_id", "X Id"},
		{"id field that frames", func(l *Listener) { l.RequestID = "Content-Length" }, "request_id", "Content-Length"},
		{"id field of a hop", func(l *Listener) { l.RequestID = "Connection" }, "request_id", "Connection"},
		{"id field with the client", func(l *Listener) { l.RequestID = "X-Forwarded-For" }, "request_id", "X-Forwarded-For"},
		{"answer without an id", func(l *Listener) { l.RequestID, l.RequestIDAnswer = "none", true }, "request_id_answer", "no id"},
		{"small header limit", func(l *Listener) { l.HeaderLimit = 100 }, "header_limit", "100"},
		{"large header limit", func(l *Listener) { l.HeaderLimit = 65537 }, "header_limit", "65537"},
		{"negative sample", func(l *Listener) { l.AccessLogSample = -1 }, "access_log_sample", "-1"},
		{"redirect to no port", func(l *Listener) { l.RedirectPort = 65536 }, "redirect_port", "65536"},
		{"redirect with 200", func(l *Listener) { l.RedirectStatus = 200 }, "redirect_status", "200"},
		{"HTTPS to HTTPS", func(l *Listener) { secure(l); l.RedirectHTTPS = true }, "redirect_https", "to and fro"},
		{"route to an unknown pool", routes(Route{Path: "/a", Pool: "x"}), "route[0].pool", `pool "x"`},
		{"route to nothing", routes(Route{Path: "/a"}), "route[0].pool", "no pool"},
		{"route to both", routes(Route{Path: "/a", Pool: "brokers", Redirect: "https://x.com"}), "route[0].redirect", "one of the two"},
		{"route twice", routes(Route{Host: "A.com", Path: "/a", Pool: "brokers"}, Route{Host: "a.com.", Path: "/a/", Pool: "brokers"}), "route[1]", "route 0"},
		{"relative path", routes(Route{Path: "a", Pool: "brokers"}), "route[0].path", `"a"`},
		{"path with a query", routes(Route{Path: "/a?b", Pool: "brokers"}), "route[0].path", "/a?b"},
		{"host with a port", routes(Route{Host: "a.com:80", Pool: "brokers"}), "route[0].host", "a.com:80"},
		{"wildcard inside", routes(Route{Host: "a.*.com", Pool: "brokers"}), "route[0].host", "a.*.com"},
		{"wildcard alone", routes(Route{Host: "*.", Pool: "brokers"}), "route[0].host", "*."},
		{"half an IPv6 host", routes(Route{Host: "::1]", Pool: "brokers"}), "route[0].host", "::1]"},
		{"redirect to a path", routes(Route{Redirect: "/x"}), "route[0].redirect", "/x"},
		{"redirect to a script", routes(Route{Redirect: "javascript://x/%0a"}), "route[0].redirect", "javascript"},
		{"redirect with a password", routes(Route{Redirect: "https://u:p@x.com"}), "route[0].redirect", "no http"},
		{"redirect with a line end", routes(Route{Redirect: "https://x.com/\r\nX: y"}), "route[0].redirect", "no http"},
		{"route with 200", routes(Route{Redirect: "https://x.com", RedirectStatus: 200}), "route[0].redirect_status", "200"},
		{"status without redirect", routes(Route{Pool: "brokers", RedirectStatus: 301}), "route[0].redirect_status", "does not redirect"},
		{"too many routes", func(l *Listener) {
			for i := range maxRoutes + 1 {
				l.Routes = append(l.Routes, Route{Path: "/" + itoa(i), Pool: "brokers"})
			}
		}, "route", "1001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := plainConfig([]Member{{Address: "10.0.0.1:80"}})
			cfg.Listeners[0].RequestID = ""
			tt.edit(&cfg.Listeners[0])
			_, err := Compile(cfg, noRef)
			if tt.path == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			var list problem.List
			if !errors.As(err, &list) || len(list) != 1 {
				t.Fatalf("got %v", err)
			}
			if p := list[0]; p.Path != "listener[0]."+tt.path || !strings.Contains(p.What, tt.what) || p.Cure == "" || strings.Contains(p.What, "geheim") {
				t.Errorf("got %+v", p)
			}
		})
	}
	cfg := plainConfig([]Member{{Address: "10.0.0.1:80"}})
	cfg.Pools[0].SendProxy = "v3"
	if _, err := Compile(cfg, noRef); err == nil || !strings.Contains(err.Error(), "pool[0].send_proxy") {
		t.Errorf("send_proxy v3: %v", err)
	}
}
