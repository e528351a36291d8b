package hostcache

import (
	"errors"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	syncs       *prometheus.CounterVec
	rows        *prometheus.GaugeVec
	duration    prometheus.Gauge
	succeeded   prometheus.Gauge
	differences prometheus.Gauge
	rehearsed   prometheus.Gauge
}

func newMetrics(c *Cache, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_hostcache_syncs_total",
			Help: "Synchronisations of the host cache by result: updated, current, empty, unavailable, failed.",
		}, []string{"result"}),
		rows: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_hostcache_rows",
			Help: "Rows of the host cache by table.",
		}, []string{"table"}),
		duration: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "switchpoint_hostcache_import_duration_seconds",
			Help: "Time that the newest import of the host cache took.",
		}),
		succeeded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "switchpoint_hostcache_sync_timestamp_seconds",
			Help: "When a synchronisation of the host cache last succeeded.",
		}),
		differences: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "switchpoint_hostcache_rehearsal_differences",
			Help: "Answers of the host cache that differed from those of the database in the newest rehearsal.",
		}),
		rehearsed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "switchpoint_hostcache_rehearsal_timestamp_seconds",
			Help: "When the host cache was last compared with the database.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	gauge := func(name, help string, f func(Status) float64) error {
		return reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return f(c.Status()) }))
	}
	return m, errors.Join(
		reg.Register(m.syncs), reg.Register(m.rows), reg.Register(m.duration), reg.Register(m.succeeded), reg.Register(m.differences), reg.Register(m.rehearsed),
		gauge("switchpoint_hostcache_age_seconds", "Time since the host cache was last known to be current; +Inf without one.", func(s Status) float64 {
			if s.File == "" {
				return math.Inf(1)
			}
			return time.Since(s.Current).Seconds()
		}),
		gauge("switchpoint_hostcache_usable", "1 while there is a host cache that is young enough to serve.", func(s Status) float64 {
			if s.Usable {
				return 1
			}
			return 0
		}),
		gauge("switchpoint_hostcache_quarantined", "Records that the host cache could not take, or not whole.", func(s Status) float64 { return float64(s.Quarantined) }),
	)
}

func (m *metrics) synced(s Synced) {
	m.syncs.WithLabelValues(s.Result).Inc()
	if s.Result != Updated && s.Result != Current {
		return
	}
	m.succeeded.SetToCurrentTime()
	if s.Result == Updated {
		m.duration.Set(s.Took.Seconds())
	}
	for table, n := range s.Rows {
		m.rows.WithLabelValues(table).Set(float64(n))
	}
}
