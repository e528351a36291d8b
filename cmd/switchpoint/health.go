package main

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/healthcheck"
)

// health joins the two sources of checks of one process, its TOML and the broker's destinations
// in the database, into the one table of the engine.
type health struct {
	engine *healthcheck.Engine
	log    *slog.Logger

	mu       sync.Mutex // guards what follows
	file     healthcheck.Config
	broker   []healthcheck.Key
	monitors []healthcheck.Monitor // of destinations that name none
}

func newHealth(stateDir string, log *slog.Logger, metrics prometheus.Registerer) *health {
	log = log.With("room", "health")
	return &health{engine: healthcheck.New(healthcheck.Options{StateDir: stateDir, Log: log, Metrics: metrics}), log: log}
}

// configure takes what the TOML says. The checks of the broker stay.
func (h *health) configure(c healthcheck.Config) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	table, err := healthcheck.Compile(joined(c, h.monitors, h.broker))
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
func (h *health) setBrokerChecks(monitors []healthcheck.Monitor, keys []healthcheck.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	table, err := healthcheck.Compile(joined(h.file, monitors, keys))
	if err != nil {
		h.log.Error("the broker's destinations cannot be watched", "error", err)
		return
	}
	h.monitors, h.broker = monitors, keys
	h.engine.SetTable(table)
}

func joined(c healthcheck.Config, monitors []healthcheck.Monitor, checks []healthcheck.Key) healthcheck.Config {
	c.Monitors = slices.Concat(c.Monitors, monitors)
	c.Checks = slices.Concat(c.Checks, checks)
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
