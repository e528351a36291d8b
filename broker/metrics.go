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
	goals    *prometheus.GaugeVec
	served   *served // the same logins, for what one costs

	enrolments, heartbeats, starts *prometheus.CounterVec
	batches                        prometheus.Counter
	blocks                         *prometheus.CounterVec
	queueMetrics
}

func newMetrics(b *Broker, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		queueMetrics: newQueueMetrics(),
		served:       &b.host.served,
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_broker_logins_total",
			Help: "Logins by result: offers, redirect, prompt, or the code of the refusal.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "switchpoint_broker_login_duration_seconds",
			Help:    "Time from arrival to the answer of logins that were not refused.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
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
		goals: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_cluster_goal_met",
			Help: "1 if the cluster meets a goal, 0 if not, 0.5 if it is at risk or not known. As of the newest heartbeat job.",
		}, []string{"goal"}),
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
		blocks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_broker_login_blocks_total",
			Help: "Blocks after too many failed sign-ins that this broker made, by kind: user-at-address, user or address.",
		}, []string{"kind"}),
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
		reg.Register(redirectCollector{b}), reg.Register(m.enrolments), reg.Register(m.heartbeats), reg.Register(m.batches), reg.Register(m.starts), reg.Register(m.blocks),
		reg.Register(m.goals),
		gauge(reg, "switchpoint_broker_host_cpus", "Processors of the host; 0 while it does not say how busy it is.", func() float64 { return float64(b.host.now.Load().Load.CPUs) }),
		gauge(reg, "switchpoint_broker_host_load_average", "Load average of the host in the last minute.", func() float64 { return b.host.now.Load().Load.Average }),
		gauge(reg, "switchpoint_broker_host_busy_ratio", "Share of the host's CPU time that was used in the last minute.", func() float64 { return b.host.now.Load().Load.Busy }),
		gauge(reg, "switchpoint_broker_host_steal_ratio", "Share of the host's CPU time that the hypervisor gave to other guests in the last minute.", func() float64 { return b.host.now.Load().Load.Steal }),
		gauge(reg, "switchpoint_broker_carries_logins_per_second", "Logins a second that this broker could answer, by what they cost when there were enough; 0: not known yet.", func() float64 { return b.host.now.Load().Carries }),
		m.register(b.admit, reg),
		gauge(reg, "switchpoint_broker_logins_blocked", "Users and addresses that are blocked after too many failed sign-ins, as this broker knows it.", b.gate.holding),
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

// goal shows a goal's state; what is neither met nor missed stands between.
func (m *metrics) goal(g Goal) {
	value := 0.5
	switch g.State {
	case GoalMet:
		value = 1
	case GoalNotMet:
		value = 0
	}
	m.goals.WithLabelValues(g.Name).Set(value)
}

func (m *metrics) setupFailed(yes bool) { m.failed.Set(number(yes)) }

// login counts one that took so long from its arrival, and in its place.
func (m *metrics) login(r LoginResult, took, worked time.Duration) {
	result := "offers"
	switch {
	case r.Refusal != nil:
		m.logins.WithLabelValues(r.Refusal.Code).Inc()
		return
	case r.Prompt != nil:
		m.logins.WithLabelValues("prompt").Inc()
		return
	case r.Redirect != "":
		result = "redirect"
	}
	m.logins.WithLabelValues(result).Inc()
	m.duration.Observe(took.Seconds())
	m.served.count(worked)
}
