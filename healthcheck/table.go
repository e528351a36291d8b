package healthcheck

import (
	"cmp"
	"fmt"
	"slices"

	"switchpoint/internal/problem"
)

// Table is a compiled Config: immutable, every file read, every expression compiled, so that
// SetTable cannot fail.
type Table struct {
	settings Settings
	monitors map[string]*monitor
	checks   []Key // each once, sorted
}

// monitor is a Monitor ready to run.
type monitor struct {
	def   Monitor
	rule  rule
	pace  adaptive
	times []window // maintenance
	probe prober
}

// Compile validates cfg, applies the defaults and reads the files that it names. The error is
// a problem.List.
func Compile(cfg Config) (*Table, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Table{
		settings: cfg.Settings.WithDefaults(),
		monitors: make(map[string]*monitor, len(cfg.Monitors)),
	}
	dial := newDialer(t.settings)
	var l problem.List
	for i, def := range cfg.Monitors {
		m, err := compileMonitor(def.WithDefaults(), dial)
		if err != nil {
			l.Under(fmt.Sprintf("monitor[%d]", i), err)
			continue
		}
		t.monitors[def.Name] = m
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	t.checks = withParents(cfg.Checks, t.monitors)
	slices.SortFunc(t.checks, compareKeys)
	t.checks = slices.Compact(t.checks)
	return t, nil
}

func compileMonitor(def Monitor, dial *dialer) (*monitor, error) {
	probe, err := newProber(def, dial)
	if err != nil {
		return nil, err
	}
	m := &monitor{def: def, rule: newRule(def), probe: probe}
	if m.pace, err = newAdaptive(def.Judging); err != nil {
		return nil, problem.Problem{Path: "adaptive_divergence", What: err.Error()}
	}
	if m.times, err = parseWindows(def.Maintenance); err != nil {
		return nil, problem.Problem{Path: "maintenance", What: err.Error()}
	}
	return m, nil
}

// withParents adds the checks that others depend on: they are probed even when no room asks for
// them. Validate has found that the chains end.
func withParents(checks []Key, monitors map[string]*monitor) []Key {
	out := slices.Clone(checks)
	for i := 0; i < len(out); i++ {
		if parent, has := monitors[out[i].Monitor].def.parent(out[i].Address); has {
			out = append(out, parent)
		}
	}
	return out
}

// Len is how many different checks the table asks for.
func (t *Table) Len() int { return len(t.checks) }

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Monitor, b.Monitor))
}
