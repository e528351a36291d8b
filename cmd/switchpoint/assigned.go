package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/configs"
	"switchpoint/peer"
	"switchpoint/redirect"
)

// assignedMethod is the peer call behind if_assigned_only (RD4, RD7).
const assignedMethod = "broker.assigned"

// assignedAnswer is its answer.
type assignedAnswer struct {
	Assigned bool `json:"assigned"`
}

// askAssigned asks the peers of the destination's cluster, one after the other until one
// answers. The deadline comes with ctx; each peer gets its share of what is left, so that one
// that keeps silent does not take the time of the others.
func (a *app) askAssigned(ctx context.Context, d redirect.Destination, q broker.AssignedQuestion) (bool, error) {
	if a.peer == nil {
		return false, errors.New("this node has no [peer] section, so it cannot ask another cluster")
	}
	names := a.peer.Peers(d.Cluster)
	if d.Peer != "" {
		names = []string{d.Peer}
	}
	body, err := json.Marshal(q)
	if err != nil {
		return false, err
	}
	text, err := a.askAny(ctx, names, d.Cluster, assignedMethod, body)
	if err != nil {
		return false, err
	}
	var answer assignedAnswer
	if err := json.Unmarshal(text, &answer); err != nil {
		return false, fmt.Errorf("read the answer of cluster %s: %w", d.Cluster, err)
	}
	return answer.Assigned, nil
}

// share ends after the n-th part of the time that ctx has left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}

func (a *app) answerAssigned(ctx context.Context, _ peer.Trust, body []byte) ([]byte, error) {
	var q broker.AssignedQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	yes, err := a.broker.AnswerAssigned(ctx, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(assignedAnswer{Assigned: yes})
}

// seed fills an empty database from broker.toml (design section 10).
func (a *app) seed(ctx context.Context, cfg *configs.Config, c broker.Config) error {
	if c.Seed == "" {
		return nil
	}
	setup, err := configs.LoadSetup(c.Seed, monitorNames(cfg), c.Cluster)
	if err != nil {
		return fmt.Errorf("seed %s is not usable:\n%w", c.Seed, err)
	}
	filled, err := a.broker.Seed(ctx, *setup)
	if err != nil {
		return fmt.Errorf("fill the database from seed %s: %w", c.Seed, err)
	}
	if filled {
		a.log.Info("filled the empty database", "seed", c.Seed)
	}
	return nil
}
