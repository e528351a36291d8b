package lb

import (
	"testing"
	"time"
)

func TestTCPValidate(t *testing.T) {
	on := true
	listener := func(edit func(*Listener)) func(*Config) {
		return func(c *Config) { edit(&c.Listeners[0]) }
	}
	route := func(r Route) func(*Config) {
		return listener(func(l *Listener) { l.Routes = []Route{r} })
	}
	runFaults(t, func() Config { return tcpConfig(Member{Address: "10.0.0.1:389"}) }, []fault{
		{"good", func(*Config) {}, "", ""},
		{"legacy_probe", listener(func(l *Listener) { l.LegacyProbe = &on }), "listener[0].legacy_probe", "does not read HTTP"},
		{"legacy_probe off", listener(func(l *Listener) { off := false; l.LegacyProbe = &off }), "", ""},
		{"forwarded", listener(func(l *Listener) { l.Forwarded = true }), "listener[0].forwarded", "does not read HTTP"},
		{"request_id", listener(func(l *Listener) { l.RequestID = "X-Request-Id" }), "listener[0].request_id", "does not read HTTP"},
		{"request_id_answer", listener(func(l *Listener) { l.RequestIDAnswer = true }), "listener[0].request_id_answer", "does not read HTTP"},
		{"header_limit", listener(func(l *Listener) { l.HeaderLimit = 16384 }), "listener[0].header_limit", "does not read HTTP"},
		{"redirect_https", listener(func(l *Listener) { l.RedirectHTTPS = true }), "listener[0].redirect_https", "does not read HTTP"},
		{"redirect_port", listener(func(l *Listener) { l.RedirectPort = 443 }), "listener[0].redirect_port", "does not read HTTP"},
		{"redirect_status", listener(func(l *Listener) { l.RedirectStatus = 308 }), "listener[0].redirect_status", "does not read HTTP"},
		{"unknown mode", listener(func(l *Listener) { l.Mode = "udp" }), "listener[0].mode", `"udp"`},
		{"idle_timeout of an HTTP listener", listener(func(l *Listener) { l.Mode, l.IdleTimeout = "http", time.Hour }), "listener[0].idle_timeout", "tcp listeners"},
		{"idle_timeout", listener(func(l *Listener) { l.IdleTimeout = 8 * time.Hour }), "", ""},
		{"negative idle_timeout", listener(func(l *Listener) { l.IdleTimeout = -1 }), "listener[0].idle_timeout", "out of range"},
		{"endless idle_timeout", listener(func(l *Listener) { l.IdleTimeout = 31 * 24 * time.Hour }), "listener[0].idle_timeout", "out of range"},
		{"negative sample", listener(func(l *Listener) { l.AccessLogSample = -1 }), "listener[0].access_log_sample", "out of range"},
		{"proxy_protocol for nobody", listener(func(l *Listener) { l.ProxyProtocol = "v1" }), "listener[0].trusted_proxies", "nobody"},
		{"cert without key", listener(func(l *Listener) { l.Cert = "x.pem" }), "listener[0].key", "without key"},
		{"route", route(Route{Host: "rdp.company.com", Pool: "brokers"}), "", ""},
		{"wild route", route(Route{Host: "*.company.com", Pool: "brokers"}), "", ""},
		{"route without a host", route(Route{Pool: "brokers"}), "listener[0].route[0].host", "is no name"},
		{"route for an address", route(Route{Host: "[2001:db8::1]", Pool: "brokers"}), "listener[0].route[0].host", "is no name"},
		{"route by path", route(Route{Host: "a", Path: "/x", Pool: "brokers"}), "listener[0].route[0].path", "does not read HTTP"},
		{"route that redirects", route(Route{Host: "a", Redirect: "https://x"}), "listener[0].route[0].redirect", "does not read HTTP"},
		{"route to an unknown pool", route(Route{Host: "a", Pool: "x"}), "listener[0].route[0].pool", `"x" does not exist`},
		{"on_down", func(c *Config) { c.Pools[0].OnDown, c.Pools[0].Monitor = "close", "m" }, "", ""},
		{"on_down of a routed pool", func(c *Config) {
			c.Pools = append(c.Pools, Pool{Name: "x", OnDown: "close", Monitor: "m", Members: []Member{{Address: "10.0.0.2:389"}}})
			c.Listeners[0].Routes = []Route{{Host: "a", Pool: "x"}}
		}, "", ""},
		{"unknown on_down", func(c *Config) { c.Pools[0].OnDown = "reselect" }, "pool[0].on_down", `"reselect"`},
		{"on_down without a monitor", func(c *Config) { c.Pools[0].OnDown = "close" }, "pool[0].on_down", "without a monitor"},
		{"on_down for HTTP", func(c *Config) {
			c.Pools[0].OnDown, c.Pools[0].Monitor, c.Listeners[0].Mode = "close", "m", "http"
		}, "pool[0].on_down", "none uses this pool"},
	})
	full := tcpConfig().WithDefaults()
	if l := full.Listeners[0]; l.IdleTimeout != time.Hour || l.RequestID != "" || *l.LegacyProbe || full.Pools[0].OnDown != "keep" {
		t.Errorf("defaults %+v, %+v", l, full.Pools[0])
	}
}
