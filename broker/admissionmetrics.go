package broker

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// queueMetrics is what is counted of the queue; its gauges are read from it.
type queueMetrics struct {
	waited prometheus.Histogram
	lost   *prometheus.CounterVec
}

func newQueueMetrics() queueMetrics {
	return queueMetrics{
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "switchpoint_broker_login_wait_seconds",
			Help:    "Time from arrival to the place of logins that got one.",
			Buckets: []float64{.001, .01, .1, .5, 1, 2.5, 5, 10, 20, 40, 60, 80, 100, 120},
		}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_broker_logins_lost_total",
			Help: "Logins that were not worked to their end, by cause: busy and evicted (the queue is full), deadline, abandoned (the client has gone), stopped (the broker stops).",
		}, []string{"cause"}),
	}
}

func (m queueMetrics) register(a *admission, reg prometheus.Registerer) error {
	return errors.Join(
		reg.Register(m.waited), reg.Register(m.lost),
		gauge(reg, "switchpoint_broker_logins_active", "Logins in work.", func() float64 { return float64(a.state().working) }),
		gauge(reg, "switchpoint_broker_logins_capacity", "Logins that may be in work at once.", func() float64 { return float64(a.capacity()) }),
		gauge(reg, "switchpoint_broker_logins_waiting", "Logins in the queue.", func() float64 { return float64(a.state().waiting) }),
		gauge(reg, "switchpoint_broker_logins_waiting_limit", "Logins that may be in the queue: as many as are expected to be answered in time.", func() float64 { return float64(a.state().limit) }),
		gauge(reg, "switchpoint_broker_logins_service_rate", "Logins a second that leave their places while others wait, as last measured.", func() float64 { return a.state().rate }),
	)
}
