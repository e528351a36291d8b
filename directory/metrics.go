package directory

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one directory; every series has its name as a label.
type metrics struct {
	operations  *prometheus.CounterVec   // operation, result
	duration    *prometheus.HistogramVec // operation
	connections *prometheus.GaugeVec     // server, purpose, state
	up          *prometheus.GaugeVec     // server
	limit       *prometheus.GaugeVec     // server, purpose
	waiting     *prometheus.GaugeVec     // server, purpose
	opened      *prometheus.CounterVec   // server
}

func newMetrics(reg prometheus.Registerer, directory string) (*metrics, error) {
	m := &metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_directory_operations_total",
			Help: "Operations on the directory by result: ok, refused, unavailable, canceled, error.",
		}, []string{"operation", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "switchpoint_directory_operation_duration_seconds",
			Help:    "Time of an operation, with the wait for a connection and with all servers tried.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"operation"}),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_directory_connections",
			Help: "Pooled connections by purpose (search, bind) and state (idle, busy), as of the last check of the pool.",
		}, []string{"server", "purpose", "state"}),
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_directory_server_up",
			Help: "1 if the server answered when it was asked last, else 0.",
		}, []string{"server"}),
		limit: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_directory_concurrency_limit",
			Help: "Operations that may be under way at once, as adapted to how fast the server answers; max_conns at most.",
		}, []string{"server", "purpose"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_directory_waiting",
			Help: "Operations that wait to be let in, as of the last check of the pool.",
		}, []string{"server", "purpose"}),
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_directory_breaker_opened_total",
			Help: "How often a server came to count as down.",
		}, []string{"server"}),
	}
	if reg == nil {
		return m, nil
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"directory": directory}, reg)
	return m, errors.Join(
		register(reg, &m.operations), register(reg, &m.duration), register(reg, &m.connections), register(reg, &m.up),
		register(reg, &m.limit), register(reg, &m.waiting), register(reg, &m.opened))
}

// register adds a collector, or takes over the one that an earlier Client of the same directory
// registered: after a reload the counters go on.
func register[C prometheus.Collector](reg prometheus.Registerer, c *C) error {
	err := reg.Register(*c)
	if exists, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if old, same := exists.ExistingCollector.(C); same {
			*c = old
			return nil
		}
	}
	return err
}

func (m *metrics) observe(operation string, start time.Time, err error) {
	m.duration.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	m.operations.WithLabelValues(operation, result(err)).Inc()
}

func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrRefused):
		return "refused"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "error"
}

// server records what the watcher saw.
func (m *metrics) server(s *server) {
	up := 1.0
	if open, err := s.breaker.state(); open || err != nil {
		up = 0
	}
	m.up.WithLabelValues(s.name).Set(up)
	for purpose, p := range map[string]*pool{"search": s.search, "bind": s.bind} {
		idle, busy := p.size()
		m.connections.WithLabelValues(s.name, purpose, "idle").Set(float64(idle))
		m.connections.WithLabelValues(s.name, purpose, "busy").Set(float64(busy))
		state := p.gate.state()
		m.limit.WithLabelValues(s.name, purpose).Set(float64(state.limit))
		m.waiting.WithLabelValues(s.name, purpose).Set(float64(state.waiting))
	}
}

// forget removes the series of a server that is no longer watched. A Client that follows with the
// same server sets them again with its next probe.
func (m *metrics) forget(s *server) {
	m.up.DeleteLabelValues(s.name)
	for _, v := range []*prometheus.GaugeVec{m.connections, m.limit, m.waiting} {
		v.DeletePartialMatch(prometheus.Labels{"server": s.name})
	}
}
