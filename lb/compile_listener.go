package lb

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// listenerTable is a compiled Listener.
type listenerTable struct {
	name        string
	listen      string
	tcp         bool          // mode = "tcp"
	idle        time.Duration // idle_timeout
	pool        int           // index in Table.pools
	legacyProbe bool
	headerLimit int

	certs   *certSet // nil: plain HTTP
	tickets []byte   // secret of session tickets; nil: each node has its own keys

	trusted   []netip.Prefix
	proxy     string // version of the PROXY protocol that connections begin with; empty: none
	forwarded bool
	idName    string // field of the request's id; empty: none
	idLower   string
	idAnswer  bool

	routes  routeTable
	toHTTPS *httpsRedirect

	logPath   string
	logSample uint64
}

// secure says whether TLS is spoken.
func (l *listenerTable) secure() bool { return l.certs != nil }

// pools lists the indexes in Table.pools that requests may go to, the default one first.
func (l *listenerTable) pools() []int {
	list := []int{l.pool}
	add := func(routes []pathRoute) {
		for _, r := range routes {
			if r.redirect == nil && !slices.Contains(list, r.pool) {
				list = append(list, r.pool)
			}
		}
	}
	for _, routes := range l.routes.exact {
		add(routes)
	}
	for _, routes := range l.routes.wild {
		add(routes)
	}
	add(l.routes.any)
	return list
}

// compile loads certificates and secrets. pools are the indexes of the pools' names.
func (l Listener) compile(pools map[string]int) (listenerTable, error) {
	lt := listenerTable{
		name: l.Name, listen: l.Listen, tcp: l.Mode == modeTCP, idle: l.IdleTimeout, pool: pools[l.Pool], legacyProbe: *l.LegacyProbe, headerLimit: l.HeaderLimit,
		proxy: l.ProxyProtocol, forwarded: l.Forwarded,
		routes: compileRoutes(l.Routes, pools), logPath: l.AccessLog, logSample: uint64(l.AccessLogSample), // #nosec G115 -- validated
	}
	var list problem.List
	var err error
	lt.certs, err = l.compileCerts()
	list.Under("", err)
	lt.tickets, err = readTicketSecret(l.TicketSecret)
	list.Under("", err)
	for i, s := range l.TrustedProxies {
		prefix, err := parsePrefix(s)
		if err != nil {
			list.Addf(fmt.Sprintf("trusted_proxies[%d]", i), "", "%s", err)
		}
		lt.trusted = append(lt.trusted, prefix)
	}
	if l.RequestID != noRequestID && !lt.tcp {
		lt.idName, lt.idLower, lt.idAnswer = l.RequestID, strings.ToLower(l.RequestID), l.RequestIDAnswer
	}
	if l.RedirectHTTPS {
		lt.toHTTPS = &httpsRedirect{status: l.RedirectStatus}
		if l.RedirectPort != DefaultRedirectPort {
			lt.toHTTPS.port = ":" + strconv.Itoa(l.RedirectPort)
		}
	}
	return lt, list.Err()
}
