package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"switchpoint/healthcheck"
)

// HealthLoad says what the prober process watches.
type HealthLoad struct {
	Addresses int // of the surviving responder, each under every monitor
	Victims   int // further addresses, whose responder will be killed
	Monitors  int // per address
	Interval  time.Duration
	Port      int // of the survivors, on 127.64.0.0 and up
	Victim    int // port of the victims, on 127.128.0.0 and up
}

// healthSample is what the prober prints once a second.
type healthSample struct {
	Up          int     `json:"up"`
	Unknown     int     `json:"unknown"`
	Victims     int     `json:"victims_down"`
	Survivors   int     `json:"survivors_down"` // each one is a false DOWN
	EverFalse   int     `json:"ever_false"`
	Probes      float64 `json:"probes"`
	LateP50     float64 `json:"late_p50"` // upper bounds of histogram buckets, since the last sample's reset
	LateP99     float64 `json:"late_p99"`
	Fresh, Kept float64
	Overruns    float64 `json:"overruns"`
	Reason      string  `json:"reason,omitempty"` // of the first false DOWN
}

func loopback(base byte, i int) string {
	return fmt.Sprintf("127.%d.%d.%d", int(base)+i/62500, i/250%250, i%250+1)
}

// Probe is the prober process: it runs a health engine over the load and prints a sample a
// second until stdin ends. A line "reset" on stdin starts the lateness histogram anew.
func Probe(ctx context.Context, load HealthLoad, out io.Writer) error {
	registry := prometheus.NewRegistry()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	engine := healthcheck.New(healthcheck.Options{Log: log, Metrics: registry})
	cfg, survivors, victims := load.config()
	table, err := healthcheck.Compile(cfg)
	if err != nil {
		return err
	}
	p := &proberRun{engine: engine, registry: registry, survivors: refsOf(engine, survivors), victims: refsOf(engine, victims)}
	engine.SetTable(table)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	commands := make(chan string)
	go readCommands(commands) // ends with stdin, that is with the process
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return engine.Run(ctx) })
	group.Go(func() error {
		defer cancel()
		return p.report(ctx, commands, out)
	})
	return group.Wait()
}

func readCommands(to chan<- string) {
	var line string
	for {
		if _, err := fmt.Scanln(&line); err != nil {
			close(to)
			return
		}
		to <- line
	}
}

// config makes the monitors and the checks.
func (l HealthLoad) config() (cfg healthcheck.Config, survivors, victims []healthcheck.Key) {
	for m := range l.Monitors {
		cfg.Monitors = append(cfg.Monitors, healthcheck.Monitor{
			Name: fmt.Sprintf("m%d", m), Kind: "http", Interval: l.Interval, Timeout: min(2*time.Second, l.Interval/2),
		})
	}
	for m := range l.Monitors {
		name := cfg.Monitors[m].Name
		for i := range l.Addresses {
			survivors = append(survivors, healthcheck.Key{Address: fmt.Sprintf("%s:%d", loopback(64, i), l.Port), Monitor: name})
		}
		for i := range l.Victims {
			victims = append(victims, healthcheck.Key{Address: fmt.Sprintf("%s:%d", loopback(128, i), l.Victim), Monitor: name})
		}
	}
	cfg.Checks = append(append(cfg.Checks, survivors...), victims...)
	return cfg, survivors, victims
}

func refsOf(e *healthcheck.Engine, keys []healthcheck.Key) []healthcheck.Ref {
	refs := make([]healthcheck.Ref, len(keys))
	for i, k := range keys {
		refs[i] = e.Ref(k)
	}
	return refs
}

// proberRun turns what the engine shows to everybody, snapshot and metrics, into samples.
type proberRun struct {
	engine             *healthcheck.Engine
	registry           *prometheus.Registry
	survivors, victims []healthcheck.Ref
	late               *dto.Histogram // at the last reset
	everFalse          map[healthcheck.Ref]bool
	reason             string
}

func (p *proberRun) report(ctx context.Context, commands <-chan string, out io.Writer) error {
	p.everFalse = map[healthcheck.Ref]bool{}
	enc := json.NewEncoder(out)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, open := <-commands:
			if !open {
				return nil
			}
			if strings.TrimSpace(line) == "reset" {
				p.late = nil
				p.late = p.histogram("switchpoint_health_probe_lateness_seconds")
			}
		case <-tick.C:
			if err := enc.Encode(p.sample()); err != nil {
				return err
			}
		}
	}
}

func (p *proberRun) sample() healthSample {
	var s healthSample
	snap := p.engine.Snapshot()
	for _, ref := range p.survivors {
		st := snap.Get(ref)
		switch st.State {
		case healthcheck.Up:
			s.Up++
		case healthcheck.Unknown:
			s.Unknown++
		default:
			s.Survivors++
			if p.reason == "" {
				p.reason = st.Reason
			}
			p.everFalse[ref] = true
		}
	}
	for _, ref := range p.victims {
		switch snap.Get(ref).State {
		case healthcheck.Up:
			s.Up++
		case healthcheck.Unknown:
			s.Unknown++
		default:
			s.Victims++
		}
	}
	s.EverFalse, s.Reason = len(p.everFalse), p.reason
	now := p.histogram("switchpoint_health_probe_lateness_seconds")
	s.LateP50, s.LateP99 = quantile(p.late, now, .5), quantile(p.late, now, .99)
	s.Probes = p.sum("switchpoint_health_probes_total")
	s.Fresh = p.sum("switchpoint_health_connections_opened_total")
	s.Kept = p.sum("switchpoint_health_connections_reused_total")
	s.Overruns = p.sum("switchpoint_health_probes_excused_total")
	return s
}

// family finds a metric by name; nil when the engine has none.
func (p *proberRun) family(name string) *dto.MetricFamily {
	families, err := p.registry.Gather()
	if err != nil {
		return nil
	}
	for _, f := range families {
		if f.GetName() == name {
			return f
		}
	}
	return nil
}

// sum adds up a counter over all of its label sets.
func (p *proberRun) sum(name string) float64 {
	total := 0.0
	for _, m := range p.family(name).GetMetric() {
		total += m.GetCounter().GetValue()
	}
	return total
}

func (p *proberRun) histogram(name string) *dto.Histogram {
	f := p.family(name)
	if f == nil || len(f.GetMetric()) == 0 {
		return nil
	}
	return f.GetMetric()[0].GetHistogram()
}

// quantile is the upper bound of the bucket that holds the q-quantile of what was observed
// between two states of a histogram; -1 without observations.
func quantile(from, to *dto.Histogram, q float64) float64 {
	if to == nil {
		return -1
	}
	total := to.GetSampleCount() - from.GetSampleCount()
	if total == 0 {
		return -1
	}
	for i, b := range to.GetBucket() {
		n := b.GetCumulativeCount()
		if from != nil {
			n -= from.GetBucket()[i].GetCumulativeCount()
		}
		if float64(n) >= q*float64(total) {
			return b.GetUpperBound()
		}
	}
	return -1
}
