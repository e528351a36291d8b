package lb

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/lb/choice"
)

// codeClasses are "closed" (no answer was given) and "1xx" to "5xx".
const codeClasses = 6

func codeClass(status int) int {
	if c := status / 100; c >= 1 && c < codeClasses {
		return c
	}
	return 0
}

func codeName(class int) string {
	if class == 0 {
		return "closed"
	}
	return fmt.Sprintf("%dxx", class)
}

// metrics are the families of this room. Figures that the proxy holds anyway (in flight,
// connections, entries) are read when they are collected.
type metrics struct {
	requests *prometheus.CounterVec
	failures *prometheus.CounterVec
	retries  *prometheus.CounterVec
	// refusedRetries counts what the retry budget did not allow.
	refusedRetries *prometheus.CounterVec
	// spread counts requests whose source is so many clients that none of its members is kept.
	spread *prometheus.CounterVec
	ttfb   *prometheus.HistogramVec
	// waits counts requests that had to wait for a place at a member.
	waits *prometheus.CounterVec

	certErrors  *prometheus.CounterVec
	proxyErrors *prometheus.CounterVec
	logLost     *prometheus.CounterVec

	tcp tcpMetrics
}

func newMetrics() *metrics {
	return &metrics{
		tcp: newTCPMetrics(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_requests_total",
			Help: "Answers given, by listener, pool, member (none: the balancer's own) and class of status code.",
		}, []string{"listener", "pool", "member", "code"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_member_failures_total",
			Help: "Attempts that got no usable answer from a member, by kind: connect, stale, broken, timeout, answer.",
		}, []string{"pool", "member", "kind"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_retries_total",
			Help: "Attempts after the first one of a request.",
		}, []string{"pool"}),
		refusedRetries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_retries_refused_total",
			Help: "Retries that were not made because the pool's retry budget was used up.",
		}, []string{"pool"}),
		waits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_queue_ends_total",
			Help: "Requests that found all members full, by how their wait ended: served, full (no room in the queue), timeout (queue_timeout), gone (the client left).",
		}, []string{"pool", "end"}),
		spread: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_spread_requests_total",
			Help: "Requests without a session whose source address brings far more than its fair share of them (spread_above), so that each went by the pool's method.",
		}, []string{"pool"}),
		ttfb: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "switchpoint_lb_ttfb_seconds",
			Help:    "Time from sending a request to a member to the first byte of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
		}, []string{"pool", "member"}),
		certErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_certificate_reload_errors_total",
			Help: "Changed certificate files that could not be used; the old certificate stays in use.",
		}, []string{"listener"}),
		proxyErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_proxy_protocol_errors_total",
			Help: "Connections closed because their PROXY protocol header was missing, malformed or from a stranger.",
		}, []string{"listener"}),
		logLost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_access_log_dropped_lines_total",
			Help: "Lines that are not in an access log, by reason: busy (the disk is slower than the requests), write (the file cannot be written).",
		}, []string{"reason"}),
	}
}

// memberMetrics are a member's own series, looked up once.
type memberMetrics struct {
	ttfb     prometheus.Observer
	failures [abandoned]prometheus.Counter
}

func (m *memberMetrics) failure(o outcome) { m.failures[o].Inc() }

func (m *metrics) member(pool, name string) memberMetrics {
	mm := memberMetrics{ttfb: m.ttfb.WithLabelValues(pool, name)}
	for o := unreachable; o < abandoned; o++ {
		mm.failures[o] = m.failures.WithLabelValues(pool, name, o.String())
	}
	return mm
}

func (m *metrics) codes(listener, pool, member string) [codeClasses]prometheus.Counter {
	var row [codeClasses]prometheus.Counter
	for i := range row {
		row[i] = m.requests.WithLabelValues(listener, pool, member, codeName(i))
	}
	return row
}

// forget removes the series of a member that is gone.
func (m *metrics) forget(pool, name string) {
	gone := prometheus.Labels{"pool": pool, "member": name}
	m.requests.DeletePartialMatch(gone)
	m.failures.DeletePartialMatch(gone)
	m.ttfb.DeletePartialMatch(gone)
	m.tcp.forget(gone)
}

var (
	descInFlight = prometheus.NewDesc("switchpoint_lb_in_flight_requests",
		"Requests sent to a member and not yet answered to the end.", []string{"pool", "member"}, nil)
	descConns = prometheus.NewDesc("switchpoint_lb_client_connections",
		"Open connections of clients.", []string{"listener"}, nil)
	descExpiry = prometheus.NewDesc("switchpoint_lb_certificate_expiry_timestamp_seconds",
		"When the certificate in use ends.", []string{"listener", "file"}, nil)
	descTunnels = prometheus.NewDesc("switchpoint_lb_upgraded_connections",
		"Open connections that were upgraded (WebSocket).", []string{"pool"}, nil)
	descTunnelBytes = prometheus.NewDesc("switchpoint_lb_upgraded_bytes_total",
		"Bytes carried over upgraded connections, by direction: up (from clients), down.", []string{"pool", "direction"}, nil)
	descQueued = prometheus.NewDesc("switchpoint_lb_queued_requests",
		"Requests that wait for a place at a member.", []string{"pool"}, nil)
	descChoices = prometheus.NewDesc("switchpoint_lb_choices_total",
		"Choices of a member, by the rule: persistence, persistence-draining (it keeps its clients), method (lb_method), method-all-failing and method-panic (so, over members to which connects failed), connection (NTLM or Negotiate).",
		[]string{"pool", "member", "by"}, nil)
	descPool = prometheus.NewDesc("switchpoint_lb_pool_info",
		"1, with how the pool chooses and knows clients again.", []string{"pool", "lb_method", "persistence"}, nil)
	descState = prometheus.NewDesc("switchpoint_lb_member_state",
		"1 for the state of a member that decisions go by: its health under what operators say.", []string{"pool", "member", "state"}, nil)
	descStick = prometheus.NewDesc("switchpoint_lb_persistence_entries",
		"Clients (source addresses, session tokens) bound to a member.", []string{"pool", "member"}, nil)
	descStickEvicted = prometheus.NewDesc("switchpoint_lb_persistence_evictions_total",
		"Clients forgotten before their time because the table was full.", nil, nil)
)

// Describe implements prometheus.Collector.
func (p *Proxy) Describe(ch chan<- *prometheus.Desc) {
	p.metrics.requests.Describe(ch)
	p.metrics.failures.Describe(ch)
	p.metrics.retries.Describe(ch)
	p.metrics.refusedRetries.Describe(ch)
	p.metrics.spread.Describe(ch)
	p.metrics.waits.Describe(ch)
	ch <- descQueued
	ch <- descTunnels
	ch <- descTunnelBytes
	p.metrics.ttfb.Describe(ch)
	p.metrics.certErrors.Describe(ch)
	p.metrics.proxyErrors.Describe(ch)
	p.metrics.logLost.Describe(ch)
	p.metrics.tcp.describe(ch)
	ch <- descExpiry
	ch <- descInFlight
	ch <- descConns
	ch <- descStick
	ch <- descStickEvicted
	ch <- descChoices
	ch <- descPool
	ch <- descState
}

// Collect implements prometheus.Collector.
func (p *Proxy) Collect(ch chan<- prometheus.Metric) {
	p.metrics.requests.Collect(ch)
	p.metrics.failures.Collect(ch)
	p.metrics.retries.Collect(ch)
	p.metrics.refusedRetries.Collect(ch)
	p.metrics.spread.Collect(ch)
	p.metrics.waits.Collect(ch)
	p.metrics.ttfb.Collect(ch)
	p.metrics.certErrors.Collect(ch)
	p.metrics.proxyErrors.Collect(ch)
	p.metrics.logLost.Collect(ch)
	p.metrics.tcp.collect(ch)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, l := range p.listeners {
		gauge(descConns, float64(l.conns.len()), l.name)
		for file, ends := range l.expiry() {
			gauge(descExpiry, float64(ends.Unix()), l.name, file)
		}
	}
	live := p.live.Load()
	if live == nil {
		return
	}
	bound, snap := p.sticks.Counts(time.Duration(p.now())), p.snapshot()
	ch <- prometheus.MustNewConstMetric(descStickEvicted, prometheus.CounterValue, float64(p.sticks.Evicted()))
	for _, lp := range live.pools {
		gauge(descPool, 1, lp.name, lp.method, lp.persist.kind)
		gauge(descQueued, float64(lp.waits.Load()), lp.name)
		gauge(descTunnels, float64(lp.tunnels.Load()), lp.name)
		ch <- prometheus.MustNewConstMetric(descTunnelBytes, prometheus.CounterValue, float64(lp.tunnelUp.Load()), lp.name, "up")
		ch <- prometheus.MustNewConstMetric(descTunnelBytes, prometheus.CounterValue, float64(lp.tunnelDown.Load()), lp.name, "down")
		var q choice.Question
		lp.fillStates(&q, snap)
		for i, u := range lp.ups {
			u.chosen.each(func(by string, n uint64) {
				ch <- prometheus.MustNewConstMetric(descChoices, prometheus.CounterValue, float64(n), lp.name, lp.members[i].name, by)
			})
			gauge(descState, 1, lp.name, lp.members[i].name, q.States[i].State.String())
			gauge(descInFlight, float64(u.InFlight()), lp.name, lp.members[i].name)
			gauge(descStick, float64(bound[u.id]), lp.name, lp.members[i].name)
		}
	}
}
