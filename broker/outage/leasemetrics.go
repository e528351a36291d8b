package outage

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func newLeaseSyncs() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "switchpoint_lease_syncs_total",
		Help: "Synchronisations of the copies of leases by result: copied, unavailable, failed.",
	}, []string{"result"})
}

// leaseGauges say what this broker could serve from besides its host cache.
func leaseGauges(s *Store) []prometheus.Collector {
	gauge := func(name, help string, f func(LeaseStatus) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return f(s.LeaseStatus()) })
	}
	return []prometheus.Collector{
		gauge("switchpoint_lease_held", "Copies of leases that count.", func(l LeaseStatus) float64 { return float64(l.Held) }),
		gauge("switchpoint_lease_unreadable", "Copies of leases that cannot be read and are left out.", func(l LeaseStatus) float64 { return float64(l.Unreadable) }),
		gauge("switchpoint_lease_age_seconds", "Time since the copies of leases were last all that the database has; +Inf without any.", func(l LeaseStatus) float64 {
			if l.Synced.IsZero() {
				return math.Inf(1)
			}
			return time.Since(l.Synced).Seconds()
		}),
		gauge("switchpoint_lease_usable", "1 while the broker could serve from leases.", func(l LeaseStatus) float64 { return number(l.Usable) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "switchpoint_outage_stands_back", Help: "1 while another broker is the one that serves in this outage.",
		}, func() float64 { return number(s.State().Refuses != "") }),
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
