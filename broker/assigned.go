package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"switchpoint/redirect"
)

const (
	assignedDeadline = time.Second      // RD7
	assignedKeep     = 30 * time.Second // RD7
	assignedSilence  = 2 * time.Second  // for which a cluster that did not answer is not asked again
	assignedMax      = 10_000           // answers kept
)

// AssignedQuestion asks another cluster whether a user has a desktop of his own there (RD4).
// Both clusters must know the directory by the same name: equal user names of different
// directories are different people.
type AssignedQuestion struct {
	Directory string `json:"directory"`
	User      string `json:"user"`
}

// AnswerAssigned answers the question of another cluster.
func (b *Broker) AnswerAssigned(ctx context.Context, q AssignedQuestion) (bool, error) {
	t := b.table.Load()
	if _, ok := t.directory(q.Directory); !ok && q.Directory != LocalDirectory {
		return false, fmt.Errorf("cluster %s has no directory named %q", b.cfg.Cluster, q.Directory)
	}
	return b.o.Store.Assigned(ctx, q.Directory, canonicalUser(q.User))
}

// assignedCache keeps answers of other clusters for a short while. That a cluster did not answer is kept
// for a shorter one: while it is silent, each question costs a login the whole deadline.
type assignedCache struct {
	mu      sync.Mutex
	answers map[assignedKey]assignedAnswer
	silent  map[string]silence // by destination
}

type silence struct {
	err error
	at  time.Time
}

// silence gives why the destination did not answer a moment ago; nil: it may be asked.
func (c *assignedCache) silence(destination string, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.silent[destination]; now.Sub(s.at) < assignedSilence {
		return s.err
	}
	return nil
}

// failed notes that the destination did not answer.
func (c *assignedCache) failed(destination string, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent == nil {
		c.silent = make(map[string]silence)
	}
	c.silent[destination] = silence{err, now}
}

type assignedKey struct {
	destination string
	AssignedQuestion
}

type assignedAnswer struct {
	yes bool
	at  time.Time
}

func (c *assignedCache) get(k assignedKey, now time.Time) (assignedAnswer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.answers[k]
	return a, ok && now.Sub(a.at) < assignedKeep
}

func (c *assignedCache) put(k assignedKey, a assignedAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answers) >= assignedMax || c.answers == nil {
		c.answers = make(map[assignedKey]assignedAnswer) // they are only 30 s old: asking again is cheap
	}
	c.answers[k] = a
}

// askAssigned asks all named destinations at once and waits at most one second for them.
func (b *Broker) askAssigned(ctx context.Context, t *table, names []string, q AssignedQuestion) map[string]redirect.Assigned {
	ctx, cancel := context.WithTimeout(ctx, assignedDeadline)
	defer cancel()
	answers := make([]redirect.Assigned, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { answers[i] = b.askOne(ctx, t.destinations[name], q) })
	}
	wg.Wait()
	out := make(map[string]redirect.Assigned, len(names))
	for i, name := range names {
		out[name] = answers[i]
	}
	return out
}

func (b *Broker) askOne(ctx context.Context, d redirect.Destination, q AssignedQuestion) redirect.Assigned {
	k := assignedKey{d.Name, q}
	now := time.Now()
	if a, ok := b.assigned.get(k, now); ok {
		return assignedReason(a.yes, fmt.Sprintf("cluster %s said so %s ago", d.Cluster, now.Sub(a.at).Round(time.Second)))
	}
	if err := b.assigned.silence(d.Name, now); err != nil {
		return redirect.Assigned{Reason: "not asked again yet: " + err.Error()}
	}
	yes, err := b.askCluster(ctx, d, q)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) { // what it answers to others may be of use
			b.assigned.failed(d.Name, err, time.Now())
		}
		b.log.Warn("destination did not say whether a desktop is assigned", "destination", d.Name, "error", err)
		return redirect.Assigned{Reason: err.Error()}
	}
	b.assigned.put(k, assignedAnswer{yes: yes, at: now})
	return assignedReason(yes, fmt.Sprintf("asked cluster %s", d.Cluster))
}

// askCluster asks the own store or the peer.
func (b *Broker) askCluster(ctx context.Context, d redirect.Destination, q AssignedQuestion) (bool, error) {
	switch {
	case d.Cluster == b.cfg.Cluster:
		return b.o.Store.Assigned(ctx, q.Directory, q.User)
	case b.o.AskAssigned == nil:
		return false, fmt.Errorf("this process has no [peer] section to ask cluster %s", d.Cluster)
	}
	return b.o.AskAssigned(ctx, d, q)
}

func assignedReason(yes bool, why string) redirect.Assigned {
	if yes {
		return redirect.Assigned{Answer: redirect.Yes, Reason: why}
	}
	return redirect.Assigned{Answer: redirect.No, Reason: why}
}
