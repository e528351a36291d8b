package lb

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// Defaults of LB4.
const (
	DefaultSlowStart    = 30 * time.Second
	DefaultMinActive    = 1
	DefaultQueue        = 1000
	DefaultQueueTimeout = 10 * time.Second
)

// Bounds of LB4.
const (
	maxSlowStart    = time.Hour
	maxQueue        = 1_000_000
	maxQueueTimeout = 10 * time.Minute
	maxPriority     = 1000
	maxMaxInFlight  = 1_000_000
)

func (p *Pool) upstreamDefaults() {
	orDuration(&p.SlowStart, DefaultSlowStart)
	orInt(&p.MinActive, DefaultMinActive)
	orInt(&p.Queue, DefaultQueue)
	orDuration(&p.QueueTimeout, DefaultQueueTimeout)
}

// validateUpstream reports what is wrong with priorities, limits and slow start.
func (p Pool) validateUpstream(list *problem.List) {
	for _, d := range []struct {
		name       string
		value, max time.Duration
	}{{"slow_start", p.SlowStart, maxSlowStart}, {"queue_timeout", p.QueueTimeout, maxQueueTimeout}} {
		if d.value < time.Millisecond || d.value > d.max {
			list.Addf(d.name, fmt.Sprintf("write a duration from %v to %v", time.Millisecond, d.max), "%v is out of range", d.value)
		}
	}
	between(list, "queue", "the number of requests that may wait", p.Queue, 1, maxQueue)
	between(list, "panic_threshold", "a share of the members in percent", p.PanicThreshold, 0, 100)
	if p.MinActive < 1 || p.MinActive > max(1, len(p.Members)) {
		list.Addf("min_active", fmt.Sprintf("write 1 to %d, the number of members", max(1, len(p.Members))), "%d members can never be active", p.MinActive)
	}
	for i, m := range p.Members {
		path := fmt.Sprintf("members[%d]", i)
		between(list, path+".priority", "a member's priority", m.Priority, 0, maxPriority)
		between(list, path+".max_in_flight", "the number of requests that a member may have", m.MaxInFlight, 0, maxMaxInFlight)
	}
}

// validateBackup checks that backup pools exist and that their chain has an end.
func (p Pool) validateBackup(pools []Pool) error {
	var list problem.List
	chain := []string{p.Name}
	for at := p; at.BackupPool != ""; {
		i := slices.IndexFunc(pools, func(q Pool) bool { return q.Name == at.BackupPool })
		if i < 0 {
			if len(chain) == 1 { // else it is said of the pool that names it
				list.Addf("backup_pool", "write the name of a [[lb.pool]], or remove it", "there is no pool %q", at.BackupPool)
			}
			break
		}
		at = pools[i]
		if slices.Contains(chain, at.Name) {
			if at.Name == p.Name {
				list.Addf("backup_pool", "end the chain at a pool without a backup_pool", "the pools back each other up in a circle: %s", strings.Join(append(chain, at.Name), " -> "))
			}
			break
		}
		chain = append(chain, at.Name)
	}
	return list.Err()
}

// leads says whether requests for pool from may come to pool to, which may be the same one.
func (c Config) leads(from, to string) bool {
	for range c.Pools { // a chain that is longer is a circle
		if from == to {
			return true
		}
		i := slices.IndexFunc(c.Pools, func(p Pool) bool { return p.Name == from })
		if i < 0 || c.Pools[i].BackupPool == "" {
			return false
		}
		from = c.Pools[i].BackupPool
	}
	return from == to
}

// priorities are those of the members, nil where they are all the same.
func (p Pool) priorities() []int {
	var out []int
	differ := false
	for _, m := range p.Members {
		out = append(out, m.Priority)
		differ = differ || m.Priority != p.Members[0].Priority
	}
	if !differ {
		return nil
	}
	return out
}
