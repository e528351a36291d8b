package gtm

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/gtm/steer"
)

// metrics are the counters of the server. Every label has a bounded set of values: names and
// datacenters come from the configuration, rcodes from the code. A name has at most two policies,
// its own and the one for when all is down, and a policy only one datacenter for each client, so
// the product stays near names x datacenters x rcodes.
type metrics struct {
	queries     *prometheus.CounterVec
	truncated   prometheus.Counter
	limited     *prometheus.CounterVec
	ignored     prometheus.Counter
	ioErrors    *prometheus.CounterVec
	connections prometheus.Gauge
	rejected    prometheus.Counter
	lost        *prometheus.CounterVec
	sources     *prometheus.CounterVec
}

// newMetrics registers the counters, and gauges of the view that view gives.
func newMetrics(reg prometheus.Registerer, view func() *steer.View) (*metrics, error) {
	m := &metrics{
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_gtm_queries_total",
			Help: "DNS queries answered, by transport, steered name or zone, datacenter, policy (the method, or while all is down the all-down policy) and response code.",
		}, []string{"transport", "name", "datacenter", "policy", "rcode"}),
		truncated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "switchpoint_gtm_truncated_total",
			Help: "DNS answers over UDP that did not fit and told the client to use TCP.",
		}),
		ignored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "switchpoint_gtm_ignored_packets_total",
			Help: "Packets left without an answer: responses, and less than a header.",
		}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_gtm_rate_limited_total",
			Help: "DNS queries above the response rate limit, by what they got: drop (nothing), tc or badcookie.",
		}, []string{"answer"}),
		ioErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_gtm_socket_errors_total",
			Help: "Failed socket operations, by operation.",
		}, []string{"operation"}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "switchpoint_gtm_tcp_connections",
			Help: "DNS connections over TCP that are open.",
		}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "switchpoint_gtm_tcp_rejected_total",
			Help: "DNS connections over TCP closed at once because a limit was reached.",
		}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_gtm_query_log_lost_total",
			Help: "Sampled queries that are not in the query log, by reason: busy (the disk is too slow) or write (it failed).",
		}, []string{"reason"}),
	}
	m.sources = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "switchpoint_gtm_client_source_total",
		Help: "DNS queries for steered names, by what said where the client is (subnet, domain, resolver or address) and by what became of its client subnet (used, withheld, ignored, or none where the query has none).",
	}, []string{"source", "ecs"})
	for _, reason := range []string{lostBusy, lostWrite} {
		m.lost.WithLabelValues(reason) // so that it is there before the first one
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.queries, m.truncated, m.limited, m.ignored, m.ioErrors, m.connections, m.rejected, m.lost, m.sources,
		newViewCollector(view),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register gtm metrics: %w", err)
		}
	}
	return m, nil
}

// count takes one packet's outcome.
func (m *metrics) count(transport string, answered bool, o outcome) {
	if o.limited != "" {
		m.limited.WithLabelValues(o.limited).Inc()
	}
	if !answered {
		if o.limited == "" {
			m.ignored.Inc()
		}
		return
	}
	m.queries.WithLabelValues(transport, o.name, o.datacenter, o.policy, rcodeText(o.rcode)).Inc()
	if o.by != "" {
		m.sources.WithLabelValues(o.by, o.ecs).Inc()
	}
	if o.truncated {
		m.truncated.Inc()
	}
}
