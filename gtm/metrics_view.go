package gtm

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/gtm/steer"
)

// viewCollector reads gauges off the view of the moment when somebody asks for them: neither
// queries nor the director spend anything on them. What a reload took away is gone from them.
type viewCollector struct {
	view                    func() *steer.View // nil before there is one
	in, shed, mode, allDown *prometheus.Desc
}

func newViewCollector(view func() *steer.View) *viewCollector {
	pool := []string{"name", "datacenter"}
	return &viewCollector{
		view: view,
		in: prometheus.NewDesc("switchpoint_gtm_datacenter_in",
			"1 when the datacenter takes part in the choice for the steered name, else 0.", pool, nil),
		shed: prometheus.NewDesc("switchpoint_gtm_shed_ratio",
			"Share of the datacenter's clients that goes elsewhere, because of overload or of prefer_normal, 0 to 1.", pool, nil),
		mode: prometheus.NewDesc("switchpoint_gtm_mode",
			"1 for the mode of operation that is set, primary or dr, 0 for the other.", []string{"mode"}, nil),
		allDown: prometheus.NewDesc("switchpoint_gtm_all_down",
			"1 while nothing serves the steered name and its all-down policy answers, else 0.", []string{"name"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *viewCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.in, c.shed, c.mode, c.allDown} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *viewCollector) Collect(out chan<- prometheus.Metric) {
	v := c.view()
	if v == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	mode := cmp.Or(v.Operator().Mode, steer.ModePrimary)
	for _, m := range []string{steer.ModePrimary, steer.ModeDR} {
		gauge(c.mode, oneIf(m == mode), m)
	}
	for _, n := range v.Names() {
		name := n.Name + "." // as the counter of queries has it
		gauge(c.allDown, oneIf(n.Policy != ""), name)
		for _, p := range n.Pools {
			gauge(c.in, oneIf(p.In), name, p.Datacenter)
			gauge(c.shed, p.Shed, name, p.Datacenter)
		}
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
