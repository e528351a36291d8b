package jobs

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker"
)

type metrics struct {
	runs      *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	takenBack prometheus.Counter
	heartbeat prometheus.Gauge
	queue     *prometheus.GaugeVec
	late      *prometheus.GaugeVec
}

func newMetrics(w *Worker, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchpoint_jobs_runs_total",
			Help: "Runs of jobs on this broker by kind and end: finished, aborted, cancelled, pending (it goes back), lost.",
		}, []string{"kind", "end"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "switchpoint_jobs_run_duration_seconds",
			Help:    "Time that runs of jobs took.",
			Buckets: []float64{.001, .01, .1, 1, 10, 60, 600},
		}, []string{"kind"}),
		takenBack: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "switchpoint_jobs_taken_back_total",
			Help: "Runs of lost brokers that this broker has put back into the queue.",
		}),
		heartbeat: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "switchpoint_jobs_heartbeat_timestamp_seconds",
			Help: "When the heartbeat job of this broker last succeeded.",
		}),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_jobs_queue",
			Help: "Jobs of the cluster by kind and state.",
		}, []string{"kind", "state"}),
		late: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "switchpoint_jobs_late_seconds",
			Help: "How long the oldest pending job of a kind has been due.",
		}, []string{"kind"}),
	}
	if reg == nil {
		return m, nil
	}
	running := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "switchpoint_jobs_running", Help: "Jobs that run on this broker.",
	}, func() float64 { return float64(len(w.current())) })
	return m, errors.Join(reg.Register(m.runs), reg.Register(m.duration), reg.Register(m.takenBack), reg.Register(m.heartbeat),
		reg.Register(m.queue), reg.Register(m.late), reg.Register(running))
}

func (m *metrics) took(r *run) {
	m.duration.WithLabelValues(r.job.Kind).Observe(time.Since(r.started).Seconds())
}

func (m *metrics) ended(r *run, lost bool) {
	how := string(r.end.How)
	if lost {
		how = "lost"
	}
	m.runs.WithLabelValues(r.job.Kind, how).Inc()
}

// counted replaces what was counted before: a kind may have gone.
func (m *metrics) counted(counts []broker.JobCount) {
	m.queue.Reset()
	m.late.Reset()
	for _, c := range counts {
		m.queue.WithLabelValues(c.Kind, string(c.State)).Set(float64(c.Count))
		if c.State == broker.JobPending {
			m.late.WithLabelValues(c.Kind).Set(max(0, c.Due.Seconds()))
		}
	}
}
