package peer

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	calls    *prometheus.CounterVec   // direction, method, result
	duration *prometheus.HistogramVec // direction, method
	refused  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_peer_calls_total",
			Help: "Calls between peers by direction (in, out), method and result.",
		}, []string{"direction", "method", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "switchpoint_peer_call_duration_seconds",
			Help:    "Time of a call between peers, for outgoing ones with the connection.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"direction", "method"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "switchpoint_peer_refused_total",
			Help: "Connections and requests refused because their key is not trusted.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.calls), reg.Register(m.duration), reg.Register(m.refused))
}

func (m *metrics) observe(direction, method string, start time.Time, result string) {
	m.duration.WithLabelValues(direction, method).Observe(time.Since(start).Seconds())
	m.calls.WithLabelValues(direction, method, result).Inc()
}
