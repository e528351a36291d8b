package lb

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"switchpoint/internal/problem"
)

// Bounds of a listener's settings.
const (
	minHeaderLimit = 4 << 10
	maxHeaderLimit = 64 << 10
	maxLogSample   = 1_000_000_000
	// maxRoutes bounds the routes of one listener; those of one host are looked at one by one.
	maxRoutes = 1000
)

func (l Listener) withDefaults() Listener {
	orString(&l.Mode, modeHTTP)
	if l.Mode == modeTCP {
		return l.withTCPDefaults()
	}
	if l.LegacyProbe == nil {
		on := true
		l.LegacyProbe = &on
	}
	orString(&l.RequestID, DefaultRequestID)
	orInt(&l.HeaderLimit, DefaultHeaderLimit)
	orInt(&l.RedirectPort, DefaultRedirectPort)
	orInt(&l.RedirectStatus, DefaultRedirectStatus)
	orInt(&l.AccessLogSample, 1)
	l.Routes = slices.Clone(l.Routes)
	for i := range l.Routes {
		if r := &l.Routes[i]; r.Redirect != "" {
			orInt(&r.RedirectStatus, l.RedirectStatus)
		}
	}
	return l
}

func orInt(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}

func (l Listener) validate(pools map[string]bool) error {
	var list problem.List
	if _, err := netip.ParseAddrPort(l.Listen); l.Listen != "" && err != nil {
		list.Addf("listen", `write ip:port, for example "0.0.0.0:443" or "[::]:443"`, "%q is not an address", l.Listen)
	}
	checkPool(&list, "pool", l.Pool, "the listener", pools)
	l.validateTLS(&list)
	for i, s := range l.TrustedProxies {
		if _, err := parsePrefix(s); err != nil {
			list.Addf(fmt.Sprintf("trusted_proxies[%d]", i), `write a prefix or an address, for example "10.0.0.0/8"`, "%q is not a prefix", s)
		}
	}
	switch l.ProxyProtocol {
	case "":
	case proxyV1, proxyV2, proxyAny:
		if len(l.TrustedProxies) == 0 {
			list.Addf("trusted_proxies", "name the proxies that send the header", "proxy_protocol is on and nobody may use it")
		}
	default:
		list.Addf("proxy_protocol", `write "v1", "v2" or "any", or remove it`, "%q is no version of the PROXY protocol", l.ProxyProtocol)
	}
	switch l.Mode {
	case modeHTTP:
	case modeTCP:
		l.validateTCP(&list, pools)
		return list.Err()
	default:
		list.Addf("mode", `write "http" or "tcp"`, "%q is no mode", l.Mode)
	}
	if l.IdleTimeout != 0 {
		list.Addf("idle_timeout", `remove it, or set mode = "tcp"`, "the idle time-out is that of tcp listeners")
	}
	if !isToken([]byte(l.RequestID)) || l.RequestID != noRequestID && isOwnField([]byte(strings.ToLower(l.RequestID))) {
		list.Addf("request_id", `name a field of its own, for example "X-Request-Id", or write "none"`, "%q cannot carry an id", l.RequestID)
	}
	if l.RequestIDAnswer && l.RequestID == noRequestID {
		list.Addf("request_id_answer", "name a field in request_id, or remove it", "there is no id to answer with")
	}
	between(&list, "header_limit", "bytes", l.HeaderLimit, minHeaderLimit, maxHeaderLimit)
	between(&list, "redirect_port", "a port", l.RedirectPort, 1, 65535)
	between(&list, "access_log_sample", "one of so many requests", l.AccessLogSample, 1, maxLogSample)
	checkRedirectStatus(&list, "redirect_status", l.RedirectStatus)
	if l.RedirectHTTPS && l.Cert != "" {
		list.Addf("redirect_https", "set it on the HTTP listener", "the listener speaks HTTPS itself, so it would send clients to and fro")
	}
	l.validateRoutes(&list, pools)
	return list.Err()
}

func checkPool(list *problem.List, path, pool, thing string, pools map[string]bool) {
	switch {
	case pool == "":
		list.Addf(path, "name an [[lb.pool]]", "%s has no pool", thing)
	case !pools[pool]:
		list.Addf(path, "name an [[lb.pool]] of this file", "pool %q does not exist", pool)
	}
}

func between(list *problem.List, path, what string, n, low, high int) {
	if n < low || n > high {
		list.Addf(path, fmt.Sprintf("write %s, %d to %d", what, low, high), "%d is out of range", n)
	}
}

// isOwnField names what the balancer itself reads or writes; an id there would break it.
func isOwnField(name []byte) bool {
	return isHopByHop(name) || isForwarding(name) || framesBody(name) || is(name, "host") || is(name, "cookie") ||
		is(name, "authorization") || is(name, "expect") || is(name, "idempotency-key")
}

func (l Listener) validateTLS(list *problem.List) {
	if l.Cert == "" && l.Key == "" {
		if len(l.Certificates) > 0 {
			list.Addf("cert", "name the default pair, for clients that ask for none of the names", "there are certificates but no default one")
		}
		if l.TicketSecret != "" {
			list.Addf("ticket_secret", "remove it, or give cert and key", "the listener does not speak TLS")
		}
		return
	}
	pairs := append([]Certificate{{l.Cert, l.Key}}, l.Certificates...)
	for i, c := range pairs {
		path := ""
		if i > 0 {
			path = fmt.Sprintf("certificate[%d]", i-1)
		}
		switch {
		case c.Key == "":
			list.Addf(problem.Join(path, "key"), "name the PEM file of its private key", "cert is given without key")
		case c.Cert == "":
			list.Addf(problem.Join(path, "cert"), "name the PEM file of its certificate", "key is given without cert")
		default:
			_, err := loadCertificate(c.Cert, c.Key)
			list.Under(path, err)
		}
	}
	_, err := readTicketSecret(l.TicketSecret)
	list.Under("", err)
}

func (l Listener) validateRoutes(list *problem.List, pools map[string]bool) {
	if len(l.Routes) > maxRoutes {
		list.Addf("route", "use another listener for some", "%d routes are more than %d", len(l.Routes), maxRoutes)
	}
	seen := make(map[[2]string]int)
	for i, r := range l.Routes {
		path := fmt.Sprintf("route[%d]", i)
		list.Under(path, r.validate(pools))
		what := [2]string{normalHost(r.Host), trimPath(r.Path)}
		if first, twice := seen[what]; twice {
			list.Addf(path, "remove one of the two", "host and path are those of route %d", first)
			continue
		}
		seen[what] = i
	}
}

func (r Route) validate(pools map[string]bool) error {
	var list problem.List
	if r.Host != "" && !isRouteHost(strings.TrimPrefix(r.Host, "*.")) {
		list.Addf("host", `write a name without a port, or "*." and a name`, "%q is no host", r.Host)
	}
	if r.Path != "" && r.Path[0] != '/' || !isPath([]byte(r.Path)) {
		list.Addf("path", `write it as clients send it, for example "/api"`, "%q is no path", r.Path)
	}
	switch {
	case r.Redirect == "":
		checkPool(&list, "pool", r.Pool, "the route", pools)
		if r.RedirectStatus != 0 {
			list.Addf("redirect_status", "give redirect as well, or remove it", "the route does not redirect")
		}
		return list.Err()
	case r.Pool != "":
		list.Addf("redirect", "remove pool or redirect", "a route has one of the two")
	}
	if !isRedirectTarget(r.Redirect) {
		list.Addf("redirect", `write an address, for example "https://portal.company.com"`, "%q is no http or https address", r.Redirect)
	}
	checkRedirectStatus(&list, "redirect_status", r.RedirectStatus)
	return list.Err()
}

func checkRedirectStatus(list *problem.List, path string, status int) {
	switch status {
	case 301, 302, 307, 308:
	default:
		list.Addf(path, "write 308, 307, 302 or 301", "%d is no redirect that keeps to one address", status)
	}
}

// isRouteHost accepts a name or an IPv6 address without a port.
func isRouteHost(host string) bool {
	return host != "" && len(host) <= maxHost && !strings.Contains(host, "*") && (validName([]byte(host)) || isBracketed(host))
}

// isBracketed accepts an IPv6 address as it stands in Host.
func isBracketed(host string) bool {
	inner, begins := strings.CutPrefix(host, "[")
	inner, ends := strings.CutSuffix(inner, "]")
	a, err := netip.ParseAddr(inner)
	return begins && ends && err == nil && a.Is6()
}

// isPath says whether b can be the path of a request as the strict check passes it.
func isPath(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c == '#' || c == '?' {
			return false
		}
	}
	return true
}

// isRedirectTarget accepts an http or https address that can stand in a Location as it is.
func isRedirectTarget(address string) bool {
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && u.Host != "" && validAuthority([]byte(u.Host))
}
