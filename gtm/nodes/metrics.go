package nodes

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	overruled prometheus.Counter
	failures  *prometheus.CounterVec // node
}

func newMetrics(reg prometheus.Registerer, n *Nodes) (*metrics, error) {
	m := &metrics{
		overruled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "switchpoint_gtm_node_overruled_total",
			Help: "Times that the other gtm nodes outvoted what this node saw of a check.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_gtm_node_report_failures_total",
			Help: "Reports and documents that did not reach another gtm node.",
		}, []string{"node"}),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.overruled), reg.Register(m.failures), reg.Register(collector{
		nodes: n,
		age: prometheus.NewDesc("switchpoint_gtm_node_report_age_seconds",
			"Time since another gtm node last reported.", []string{"node"}, nil),
		blind: prometheus.NewDesc("switchpoint_gtm_node_blind",
			"1 for a gtm node that reaches none of its anchors and abstains.", []string{"node"}, nil),
		version: prometheus.NewDesc("switchpoint_gtm_node_document_version",
			"Version of the operators' document that a gtm node is known to have.", []string{"node"}, nil),
	}))
}

// collector tells of the nodes as they are when it is asked.
type collector struct {
	nodes               *Nodes
	age, blind, version *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.age
	ch <- c.blind
	ch <- c.version
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.nodes.Show() {
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Name)
		}
		blind := 0.0
		if s.Blind {
			blind = 1
		}
		gauge(c.blind, blind)
		gauge(c.version, float64(s.Document.Version))
		if !s.Self && !s.Heard.IsZero() {
			gauge(c.age, time.Since(s.Heard).Seconds())
		}
	}
}
