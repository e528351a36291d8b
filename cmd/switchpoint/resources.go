package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"switchpoint/broker"
	"switchpoint/peer"
)

// resourcesMethod is the peer call by which clusters find machines that two of them manage (TP3).
const resourcesMethod = "broker.resources"

// newRivals lets the broker compare its desktops with those of other clusters, every so often (0:
// the default), and answers their brokers. It must come before the peer node runs.
func (a *app) newRivals(every time.Duration) (*broker.Rivals, error) {
	r, err := broker.NewRivals(broker.RivalsOptions{
		Broker: a.broker, Clusters: a.otherClusters, Ask: a.askResources,
		Log: a.log.With("room", "broker"), Metrics: a.registry, Every: every,
	})
	if err != nil {
		return nil, err
	}
	a.peer.Handle(resourcesMethod, func(_ context.Context, _ peer.Trust, body []byte) ([]byte, error) {
		var q broker.ResourceQuestion
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, fmt.Errorf("read the question: %w", err)
		}
		page, err := r.Answer(q)
		if err != nil {
			return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: err.Error()}
		}
		return json.Marshal(page)
	})
	return r, nil
}

// otherClusters are those of the trusted peers that can be asked. Peers without a cluster are no
// brokers.
func (a *app) otherClusters() []string {
	var out []string
	for _, t := range a.config.Load().cfg.Peer.Trust {
		if t.Cluster != "" && t.Cluster != a.broker.Cluster() && t.Address != "" {
			out = append(out, t.Cluster)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// askResources asks the brokers of a cluster, one after the other until one answers: they share
// one database, so any of them may answer for all.
func (a *app) askResources(ctx context.Context, cluster string, q broker.ResourceQuestion) (broker.ResourcePage, error) {
	var page broker.ResourcePage
	body, err := json.Marshal(q)
	if err != nil {
		return page, err
	}
	names := a.peer.Peers(cluster)
	failures := []error{fmt.Errorf("no broker of cluster %s answers", cluster)}
	for i, name := range names {
		shareCtx, cancel := share(ctx, len(names)-i)
		text, err := a.peer.Call(shareCtx, name, resourcesMethod, body)
		cancel()
		if err != nil {
			failures = append(failures, fmt.Errorf("ask %s: %w", name, err))
			continue
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return page, fmt.Errorf("read the answer of %s: %w", name, err)
		}
		return page, nil
	}
	return page, errors.Join(failures...)
}

// shownConflicts fit on a screen.
const shownConflicts = 20

// conflictLines tell an operator which desktops other clusters manage too; r may be nil.
func conflictLines(r *broker.Rivals) []string {
	if r == nil {
		return nil
	}
	var lines []string
	all := r.Conflicts()
	for _, c := range all[:min(len(all), shownConflicts)] {
		lines = append(lines, c.String())
	}
	if more := len(all) - shownConflicts; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}
