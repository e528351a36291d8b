package healthcheck

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// register tells of the connections.
func (l *lines) register(reg prometheus.Registerer) {
	for _, c := range []struct {
		name, help string
		n          *atomic.Uint64
	}{
		{"connections_opened_total", "Connections that http and https probes opened.", &l.fresh},
		{"connections_reused_total", "Probes on a connection that an earlier one had left open.", &l.kept},
		{"connections_stale_total", "Connections that the target had closed between two probes; the probe went on with a new one.", &l.stale},
		{"tls_handshakes_total", "TLS handshakes that https probes began.", &l.handshakes},
		{"tls_handshakes_deferred_total", "TLS handshakes put off by max_handshakes.", &l.deferred},
	} {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "switchpoint_health_" + c.name, Help: c.help,
		}, func() float64 { return float64(c.n.Load()) }))
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "switchpoint_health_connections_idle",
		Help: "Connections left open for the next probe.",
	}, func() float64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return float64(l.idle)
	}))
}

// overrunning is 1 while time-outs do not count.
func (e *Engine) overrunning() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over.active {
		return 1
	}
	return 0
}
