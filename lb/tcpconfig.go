package lb

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// Values of Listener.Mode and Pool.OnDown.
const (
	modeHTTP = "http"
	modeTCP  = "tcp"

	onDownKeep  = "keep"
	onDownClose = "close"
)

// DefaultIdleTimeout is how long a connection of a tcp listener may rest: remote desktops are left
// open over lunch.
const DefaultIdleTimeout = time.Hour

const maxIdleTimeout = 30 * 24 * time.Hour

// withTCPDefaults fills in what a tcp listener has; the keys of HTTP stay as they were written,
// so that validateTCP sees them.
func (l Listener) withTCPDefaults() Listener {
	if l.LegacyProbe == nil {
		off := false
		l.LegacyProbe = &off
	}
	orInt(&l.AccessLogSample, 1)
	orDuration(&l.IdleTimeout, DefaultIdleTimeout)
	l.Routes = slices.Clone(l.Routes)
	for i := range l.Routes {
		if r := &l.Routes[i]; r.Redirect != "" { // to be refused, and for no more than that
			orInt(&r.RedirectStatus, DefaultRedirectStatus)
		}
	}
	return l
}

// validateTCP reports the faults that only a tcp listener can have.
func (l Listener) validateTCP(list *problem.List, pools map[string]bool) {
	for _, key := range []struct {
		name  string
		given bool
	}{
		{"legacy_probe", *l.LegacyProbe},
		{"forwarded", l.Forwarded},
		{"request_id", l.RequestID != ""},
		{"request_id_answer", l.RequestIDAnswer},
		{"header_limit", l.HeaderLimit != 0},
		{"redirect_https", l.RedirectHTTPS},
		{"redirect_port", l.RedirectPort != 0},
		{"redirect_status", l.RedirectStatus != 0},
	} {
		if key.given {
			refuseInTCP(list, key.name)
		}
	}
	if l.IdleTimeout < time.Millisecond || l.IdleTimeout > maxIdleTimeout {
		list.Addf("idle_timeout", fmt.Sprintf("write a duration from %v to %v", time.Millisecond, maxIdleTimeout), "%v is out of range", l.IdleTimeout)
	}
	between(list, "access_log_sample", "one of so many connections", l.AccessLogSample, 1, maxLogSample)
	l.validateRoutes(list, pools)
	for i, r := range l.Routes {
		path := fmt.Sprintf("route[%d]", i)
		for _, key := range []struct{ name, value string }{{"path", r.Path}, {"redirect", r.Redirect}} {
			if key.value != "" {
				refuseInTCP(list, path+"."+key.name)
			}
		}
		if r.Host == "" || !validName([]byte(strings.TrimPrefix(r.Host, "*."))) {
			list.Addf(path+".host", `write the name that clients ask for in TLS (SNI), for example "rdp.company.com"`, "%q is no name", r.Host)
		}
	}
}

func refuseInTCP(list *problem.List, path string) {
	list.Addf(path, `remove it, or set mode = "http"`, "a tcp listener does not read HTTP")
}

// validateOnDown checks a pool's on_down against the listeners that may use it.
func (p Pool) validateOnDown(c Config) error {
	var list problem.List
	usedByTCP := slices.ContainsFunc(c.Listeners, func(l Listener) bool {
		return l.Mode == modeTCP && (c.leads(l.Pool, p.Name) || slices.ContainsFunc(l.Routes, func(r Route) bool { return c.leads(r.Pool, p.Name) }))
	})
	switch {
	case p.OnDown != onDownKeep && p.OnDown != onDownClose:
		list.Addf("on_down", `write "keep" or "close"`, "%q is not one of them", p.OnDown)
	case p.OnDown == onDownKeep:
	case !usedByTCP:
		list.Addf("on_down", `remove it, or use the pool in a listener with mode = "tcp"`, "it is about connections of tcp listeners, and none uses this pool")
	case p.Monitor == "":
		list.Addf("on_down", "name a monitor, or remove it", "without a monitor no member ever goes down")
	}
	return list.Err()
}

// empty says whether there are no routes at all.
func (t *routeTable) empty() bool { return len(t.exact)+len(t.wild)+len(t.any) == 0 }
