package lb

import "github.com/prometheus/client_golang/prometheus"

// tcpMetrics are the families of listeners in tcp mode.
type tcpMetrics struct {
	conns *prometheus.CounterVec
	open  *prometheus.GaugeVec
	bytes *prometheus.CounterVec
}

func newTCPMetrics() tcpMetrics {
	by := func(more ...string) []string { return append([]string{"listener", "pool", "member"}, more...) }
	return tcpMetrics{
		conns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_tcp_connections_total",
			Help: "Ended connections of tcp listeners, by listener, pool, member (none: none was reached) and end: client or member (who ended first, in order), client-broke, member-broke, idle, drain, member-down, no-member, unused.",
		}, by("end")),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_lb_tcp_open_connections",
			Help: "Open connections of tcp listeners.",
		}, by()),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_tcp_bytes_total",
			Help: "Bytes carried by tcp listeners, by direction: in is from clients to members, out from members to clients.",
		}, by("direction")),
	}
}

func (m *tcpMetrics) describe(ch chan<- *prometheus.Desc) {
	m.conns.Describe(ch)
	m.open.Describe(ch)
	m.bytes.Describe(ch)
}

func (m *tcpMetrics) collect(ch chan<- prometheus.Metric) {
	m.conns.Collect(ch)
	m.open.Collect(ch)
	m.bytes.Collect(ch)
}

// forget removes the series with these labels.
func (m *tcpMetrics) forget(gone prometheus.Labels) {
	m.conns.DeletePartialMatch(gone)
	m.open.DeletePartialMatch(gone)
	m.bytes.DeletePartialMatch(gone)
}

// tcpSeries are the series of one member behind one listener, looked up once.
type tcpSeries struct {
	ends    [endings]prometheus.Counter
	open    prometheus.Gauge
	in, out prometheus.Counter
}

// target makes the series of a pool behind a listener; the last row is for connections that no
// member got.
func (m *tcpMetrics) target(listener string, lp *livePool) []tcpSeries {
	var out []tcpSeries
	for _, member := range lp.members {
		out = append(out, tcpSeries{
			ends: m.ends(listener, lp.name, member.name),
			open: m.open.WithLabelValues(listener, lp.name, member.name),
			in:   m.bytes.WithLabelValues(listener, lp.name, member.name, "in"),
			out:  m.bytes.WithLabelValues(listener, lp.name, member.name, "out"),
		})
	}
	return append(out, tcpSeries{ends: m.ends(listener, lp.name, "none")})
}

func (m *tcpMetrics) ends(listener, pool, member string) (row [endings]prometheus.Counter) {
	for e := clientEnd; e < endings; e++ {
		row[e] = m.conns.WithLabelValues(listener, pool, member, e.String())
	}
	return row
}
