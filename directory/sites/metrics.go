package sites

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what a Watcher tells of itself.
type metrics struct{ good, failed prometheus.Counter }

func newMetrics(reg prometheus.Registerer, w *Watcher) metrics {
	polls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "switchpoint_ad_sites_polls_total",
		Help: "Readings of Active Directory sites and subnets, by result.",
	}, []string{"result"})
	m := metrics{good: polls.WithLabelValues("good"), failed: polls.WithLabelValues("failed")}
	if reg == nil {
		return m
	}
	gauge := func(name, help string, value func(Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return value(w.Status()) })
	}
	reg.MustRegister(polls,
		gauge("switchpoint_ad_sites_age_seconds", "Time since the copy in use was last read; 0 when there is none.", func(s Status) float64 {
			if s.Read.IsZero() {
				return 0
			}
			return time.Since(s.Read).Seconds()
		}),
		gauge("switchpoint_ad_sites", "Sites in use.", func(s Status) float64 { return float64(s.Sites) }),
		gauge("switchpoint_ad_sites_subnets", "Subnets in use.", func(s Status) float64 { return float64(s.Subnets) }),
		gauge("switchpoint_ad_sites_problems", "Objects, or parts of them, that were left out.", func(s Status) float64 { return float64(s.Problems) }),
		gauge("switchpoint_ad_sites_pending_changes", "Changed subnets that wait for approval.", func(s Status) float64 { return float64(s.Pending) }),
	)
	return m
}
