package outage

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker/outage/mode"
)

// metrics of a Store. The mode is one gauge for each, of which one is 1.
type metrics struct {
	calls      *prometheus.CounterVec
	leaseSyncs *prometheus.CounterVec
}

func newMetrics(s *Store, r prometheus.Registerer) (*metrics, error) {
	m := &metrics{calls: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "switchpoint_outage_calls_total",
		Help: "Calls of the login path that were served from the files of this broker, by whether the database was asked first.",
	}, []string{"asked"}), leaseSyncs: newLeaseSyncs()}
	if r == nil {
		return m, nil
	}
	collectors := append(leaseGauges(s), m.calls, m.leaseSyncs,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "switchpoint_outage_journal_acts", Help: "Acts that are not in the database yet.",
		}, func() float64 { return float64(s.node.unmerged()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "switchpoint_outage_refused_acts", Help: "Acts that the database never takes, set aside in node.db.",
		}, func() float64 { return float64(s.node.refused()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "switchpoint_outage_handed_acts_total", Help: "Acts that another broker has merged for this one.",
		}, func() float64 { return float64(s.handed.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "switchpoint_outage_taken_acts_total", Help: "Acts that this broker has merged for others.",
		}, func() float64 { return float64(s.taken.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "switchpoint_outage_copies_lost_total", Help: "Copies of sessions that were given up for want of room.",
		}, func() float64 { return float64(s.node.copies.lostSoFar()) }),
	)
	for _, one := range []mode.Mode{mode.Normal, mode.HostCache, mode.Leased, mode.Recovering, mode.Draining} {
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "switchpoint_outage_mode", Help: "1 for the mode that the broker is in.", ConstLabels: prometheus.Labels{"mode": string(one)},
		}, func() float64 {
			if s.State().Mode == one {
				return 1
			}
			return 0
		}))
	}
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
