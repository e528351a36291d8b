package gtm

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of the server. Every label has a bounded set of values: names and
// datacenters come from the configuration, rcodes from the code.
type metrics struct {
	queries     *prometheus.CounterVec
	truncated   prometheus.Counter
	limited     *prometheus.CounterVec
	ignored     prometheus.Counter
	ioErrors    *prometheus.CounterVec
	connections prometheus.Gauge
	rejected    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_gtm_queries_total",
			Help: "DNS queries answered, by transport, steered name or zone, datacenter and response code.",
		}, []string{"transport", "name", "datacenter", "rcode"}),
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
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.queries, m.truncated, m.limited, m.ignored, m.ioErrors, m.connections, m.rejected} {
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
	m.queries.WithLabelValues(transport, o.name, o.datacenter, rcodeText(o.rcode)).Inc()
	if o.truncated {
		m.truncated.Inc()
	}
}
