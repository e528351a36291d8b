package broker

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// busiestOf is how far back the busiest hour is looked for.
const busiestOf = 7 * 24 * time.Hour

// Goals says how the cluster stands to availability, disaster recovery and capacity (OP1).
func (b *Broker) Goals(ctx context.Context) ([]Goal, error) {
	list, err := b.o.Store.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	return b.goalsOf(ctx, list)
}

// goalsOf is Goals for brokers that were listed already.
func (b *Broker) goalsOf(ctx context.Context, list []NodeStatus) ([]Goal, error) {
	busiest, err := b.o.Store.BusiestHour(ctx, busiestOf)
	if err != nil {
		return nil, err
	}
	f := GoalFacts{Brokers: list, Busiest: busiest, Embedded: b.cfg.Database.Kind == KindSQLite, DatabaseHosts: len(b.cfg.Database.Hosts)}
	for _, d := range b.table.Load().destinations {
		if d.Cluster != b.cfg.Cluster && !slices.Contains(f.Clusters, d.Cluster) {
			f.Clusters = append(f.Clusters, d.Cluster)
		}
	}
	slices.Sort(f.Clusters)
	return f.Judge(), nil
}

// goalWatch remembers what was told last.
type goalWatch struct {
	mu   sync.Mutex
	told map[string]GoalState
}

// changed says whether a goal's state is another one than before, and keeps it.
func (w *goalWatch) changed(g Goal) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told == nil {
		w.told = make(map[string]GoalState)
	}
	before, known := w.told[g.Name]
	w.told[g.Name] = g.State
	return before != g.State && (known || g.State == GoalAtRisk || g.State == GoalNotMet)
}

// watchGoals brings the metrics of the goals up to date and logs what has changed. That the goals
// cannot be judged now is no fault of this broker.
func (b *Broker) watchGoals(ctx context.Context) {
	goals, err := b.Goals(ctx)
	if err != nil {
		b.log.Debug("the cluster's goals are not judged", "error", err)
		return
	}
	for _, g := range goals {
		b.metrics.goal(g)
		if !b.goals.changed(g) {
			continue
		}
		level := slog.LevelWarn
		if g.State == GoalMet || g.State == GoalUnknown {
			level = slog.LevelInfo
		}
		b.log.Log(ctx, level, "a goal of the cluster", "goal", g.Name, "state", g.State, "reasons", g.Reasons)
	}
}
