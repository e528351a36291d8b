package broker

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	logins   *prometheus.CounterVec
	duration prometheus.Histogram
	connects *prometheus.CounterVec
	lookups  *prometheus.CounterVec
	failed   prometheus.Gauge

	enrolments, heartbeats, starts *prometheus.CounterVec
	batches                        prometheus.Counter
}

func newMetrics(b *Broker, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_broker_logins_total",
			Help: "Logins by result: offers, redirect, or the code of the refusal.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "switchpoint_broker_login_duration_seconds",
			Help:    "Time from arrival to the answer of logins that were not refused.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		connects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_broker_connects_total",
			Help: "Connects by result: ok, or the code of the refusal.",
		}, []string{"result"}),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_broker_session_lookups_total",
			Help: "Sessions that were looked for, by who knew: memory, peer (the broker that signed the user in), store, or none.",
		}, []string{"by"}),
		failed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "switchpoint_broker_setup_failed",
			Help: "1 while the newest setup in the database cannot be used and an older one serves.",
		}),
		enrolments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_broker_agent_enrolments_total",
			Help: "Enrolments of agents by result: ok or refused.",
		}, []string{"result"}),
		heartbeats: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_broker_agent_heartbeats_total",
			Help: "Heartbeats of agents by result: ok, or the code of the refusal.",
		}, []string{"result"}),
		batches: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "switchpoint_broker_agent_batches_total",
			Help: "Batches of heartbeats that were written.",
		}),
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_broker_desktop_starts_total",
			Help: "Starts of desktops by result: ok or failed.",
		}, []string{"result"}),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(
		reg.Register(m.logins), reg.Register(m.duration), reg.Register(m.connects), reg.Register(m.lookups), reg.Register(m.failed),
		reg.Register(m.enrolments), reg.Register(m.heartbeats), reg.Register(m.batches), reg.Register(m.starts),
		gauge(reg, "switchpoint_broker_logins_active", "Logins in work.", func() float64 { return float64(b.admit.active()) }),
		gauge(reg, "switchpoint_broker_logins_capacity", "Logins that may be in work at once.", func() float64 { return float64(b.admit.capacity()) }),
		gauge(reg, "switchpoint_broker_setup_version", "Version of the setup in use.", func() float64 { return float64(b.table.Load().version) }),
		gauge(reg, "switchpoint_broker_store_up", "1 if the newest background calls of the database were answered.", func() float64 { return number(!b.readDown.Load() && !b.writeDown.Load()) }),
		gauge(reg, "switchpoint_broker_serving", "1 while is_alive says 200.", func() float64 { return number(b.notServing() == "") }),
	)
}

func gauge(reg prometheus.Registerer, name, help string, f func() float64) error {
	return reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (m *metrics) setupFailed(yes bool) { m.failed.Set(number(yes)) }

func (m *metrics) login(r LoginResult, took time.Duration) {
	result := "offers"
	switch {
	case r.Refusal != nil:
		m.logins.WithLabelValues(r.Refusal.Code).Inc()
		return
	case r.Redirect != "":
		result = "redirect"
	}
	m.logins.WithLabelValues(result).Inc()
	m.duration.Observe(took.Seconds())
}
