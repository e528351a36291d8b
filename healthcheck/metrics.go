package healthcheck

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/healthcheck/isalive"
)

// metrics is what the engine tells of itself. Per-monitor figures are counted in place, so
// that a scrape does not visit the checks.
type metrics struct {
	probes      *prometheus.CounterVec
	transitions *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	late        prometheus.Histogram
	states      *prometheus.GaugeVec
	modes       *prometheus.GaugeVec
	ejections   *prometheus.CounterVec
	shared      *prometheus.CounterVec
	excused     prometheus.Counter
	inFlight    atomic.Int64
	by          map[string]*monitorMetrics // guarded by Engine.mu
}

// monitorMetrics are the series of one monitor, looked up once.
type monitorMetrics struct {
	states      [Maintenance + 1]prometheus.Gauge
	transitions [Maintenance + 1]prometheus.Counter
	probes      [Maintenance + 1]prometheus.Counter
	seconds     prometheus.Observer
	modes       map[string]prometheus.Gauge // those that a target has said, by label
	mode        func(label string) prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, e *Engine) *metrics {
	buckets := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	m := &metrics{
		by: make(map[string]*monitorMetrics),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_health_probes_total",
			Help: "Probes that ended, by monitor and result.",
		}, []string{"monitor", "result"}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_health_transitions_total",
			Help: "Changes of a check's state, by monitor and new state.",
		}, []string{"monitor", "to"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "switchpoint_health_probe_duration_seconds",
			Help: "Time from the start of a probe to its result.", Buckets: buckets,
		}, []string{"monitor"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "switchpoint_health_probe_lateness_seconds",
			Help:    "Time from the planned to the real start of a probe.",
			Buckets: []float64{.001, .005, .01, .02, .03, .04, .05, .06, .07, .08, .09, .1, .15, .25, .5, 1, 2.5, 5},
		}),
		states: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_health_checks",
			Help: "Checks of the table, by monitor and state.",
		}, []string{"monitor", "state"}),
		modes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_health_modes",
			Help: "Checks whose target says in which mode it works, by monitor and mode: normal, hostcache, leased, recovering, draining, stopped, several (a balancer's pool) or other.",
		}, []string{"monitor", "mode"}),
	}
	m.ejections = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "switchpoint_health_ejections_total",
		Help: "Targets put down because their traffic fails, by monitor.",
	}, []string{"monitor"})
	m.shared = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "switchpoint_health_shared_failures_total",
		Help: "Times that the traffic of so many targets failed that none was put down for it, by monitor.",
	}, []string{"monitor"})
	m.excused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "switchpoint_health_probes_excused_total",
		Help: "Probes that did not count: timed out while this process ran late, or put off.",
	})
	if reg == nil {
		return m
	}
	e.lines.register(reg)
	reg.MustRegister(m.probes, m.transitions, m.seconds, m.late, m.states, m.modes, m.ejections, m.shared, m.excused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "switchpoint_health_overrun",
			Help: "1 while probes run late and their time-outs do not count.",
		}, func() float64 { return e.overrunning() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "switchpoint_health_probes_in_flight",
			Help: "Probes under way.",
		}, func() float64 { return float64(m.inFlight.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "switchpoint_health_snapshot_sequence",
			Help: "Number of the newest published snapshot.",
		}, func() float64 { return float64(e.Snapshot().Seq()) }),
	)
	return m
}

// of gives the series of a monitor. Engine.mu is held.
func (m *metrics) of(monitor string) *monitorMetrics {
	if mm := m.by[monitor]; mm != nil {
		return mm
	}
	mm := &monitorMetrics{
		seconds: m.seconds.WithLabelValues(monitor), modes: make(map[string]prometheus.Gauge),
		mode: func(label string) prometheus.Gauge { return m.modes.WithLabelValues(monitor, label) },
	}
	for s := range Maintenance + 1 {
		mm.states[s] = m.states.WithLabelValues(monitor, s.String())
		mm.transitions[s] = m.transitions.WithLabelValues(monitor, s.String())
		mm.probes[s] = m.probes.WithLabelValues(monitor, s.String())
	}
	m.by[monitor] = mm
	return mm
}

// keep forgets the series of monitors that no longer exist. Engine.mu is held.
func (m *metrics) keep(monitors map[string]*monitor) {
	for name := range m.by {
		if monitors[name] != nil {
			continue
		}
		delete(m.by, name)
		label := prometheus.Labels{"monitor": name}
		m.probes.DeletePartialMatch(label)
		m.transitions.DeletePartialMatch(label)
		m.seconds.DeletePartialMatch(label)
		m.states.DeletePartialMatch(label)
		m.modes.DeletePartialMatch(label)
		m.ejections.DeletePartialMatch(label)
		m.shared.DeletePartialMatch(label)
	}
}

func (m *metrics) started(late time.Duration) {
	m.inFlight.Add(1)
	m.late.Observe(late.Seconds())
}

func (m *metrics) ended() { m.inFlight.Add(-1) }

func (m *monitorMetrics) probed(r Result) {
	m.probes[r.State].Inc()
	m.seconds.Observe(r.Total.Seconds())
}

func (m *monitorMetrics) count(s State, n int) { m.states[s].Add(float64(n)) }

// says counts n checks whose target says a mode. Engine.mu is held.
func (m *monitorMetrics) says(mode string, n int) {
	label := isalive.ModeLabel(mode)
	if label == "" {
		return
	}
	if m.modes[label] == nil {
		m.modes[label] = m.mode(label)
	}
	m.modes[label].Add(float64(n))
}

func (m *monitorMetrics) moved(from, to State) {
	m.count(from, -1)
	m.count(to, +1)
	m.transitions[to].Inc()
}
