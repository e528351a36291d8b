package nodes

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	failures *prometheus.CounterVec // node
	all      *prometheus.CounterVec // node
}

func newMetrics(reg prometheus.Registerer, n *Nodes) (*metrics, error) {
	node := []string{"node"}
	m := &metrics{
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_node_failures_total",
			Help: "Messages that did not reach another lb node, or that it refused.",
		}, node),
		all: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_lb_node_full_syncs_total",
			Help: "Times that another lb node was told every persistence entry.",
		}, node),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.failures), reg.Register(m.all), reg.Register(collector{
		nodes: n,
		touch: prometheus.NewDesc("switchpoint_lb_node_in_touch",
			"1 for another lb node that was heard of in the last 3 seconds.", node, nil),
		lag: prometheus.NewDesc("switchpoint_lb_node_lag_seconds",
			"Time for which another lb node has lacked something that this one knows.", node, nil),
		sent: prometheus.NewDesc("switchpoint_lb_node_entries_sent_total",
			"Persistence entries sent to another lb node.", node, nil),
		received: prometheus.NewDesc("switchpoint_lb_node_entries_received_total",
			"Persistence entries received from another lb node.", node, nil),
	}))
}

// forget removes the series of a node that is a peer no more.
func (m *metrics) forget(node string) {
	m.failures.DeleteLabelValues(node)
	m.all.DeleteLabelValues(node)
}

// collector tells of the nodes as they are when it is asked.
type collector struct {
	nodes                      *Nodes
	touch, lag, sent, received *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.touch
	ch <- c.lag
	ch <- c.sent
	ch <- c.received
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.nodes.Show() {
		one := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			ch <- prometheus.MustNewConstMetric(d, kind, v, s.Name)
		}
		touch := 0.0
		if s.InTouch {
			touch = 1
		}
		one(c.touch, prometheus.GaugeValue, touch)
		one(c.lag, prometheus.GaugeValue, s.Lag.Seconds())
		one(c.sent, prometheus.CounterValue, float64(s.Sent))
		one(c.received, prometheus.CounterValue, float64(s.Received))
	}
}
