package main

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/healthcheck"
)

// health joins the two sources of checks of one process, its TOML and the broker's destinations
// in the database, into the one table of the engine.
type health struct {
	engine *healthcheck.Engine
	log    *slog.Logger

	mu     sync.Mutex // guards what follows
	file   healthcheck.Config
	broker []healthcheck.Key
}

func newHealth(stateDir string, log *slog.Logger, metrics prometheus.Registerer) *health {
	log = log.With("room", "health")
	return &health{engine: healthcheck.New(healthcheck.Options{StateDir: stateDir, Log: log, Metrics: metrics}), log: log}
}

// configure takes what the TOML says. The checks of the broker stay.
func (h *health) configure(c healthcheck.Config) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	table, err := healthcheck.Compile(joined(c, h.broker))
	if err != nil {
		return fmt.Errorf("compile [health]: %w", err)
	}
	h.file = c
	h.engine.SetTable(table)
	return nil
}

// setBrokerChecks takes what the broker's destinations need. The broker has validated them
// against the monitors of this process, so a failure here means that a reload took a monitor
// away: the old checks go on and the log says so.
func (h *health) setBrokerChecks(keys []healthcheck.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	table, err := healthcheck.Compile(joined(h.file, keys))
	if err != nil {
		h.log.Error("the broker's destinations cannot be watched", "error", err)
		return
	}
	h.broker = keys
	h.engine.SetTable(table)
}

func joined(c healthcheck.Config, more []healthcheck.Key) healthcheck.Config {
	checks := make([]healthcheck.Key, 0, len(c.Checks)+len(more))
	c.Checks = append(append(checks, c.Checks...), more...)
	return c
}

// known says whether each of the checks has had its first probe.
func (h *health) known(checks []healthcheck.Key) bool {
	snap := h.engine.Snapshot()
	for _, k := range checks {
		if snap.Get(h.engine.Ref(k)).State == healthcheck.Unknown {
			return false
		}
	}
	return true
}

func (h *health) brokerChecks() []healthcheck.Key {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.broker
}
