package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"switchpoint/broker"
	"switchpoint/peer"
)

// ticketKeyMethod is the peer call that tells how to check the tickets of a cluster (RD8).
const ticketKeyMethod = "broker.ticket-key"

// trustsCluster says whether a cluster has trusted peers here, whether or not they can be called.
func (a *app) trustsCluster(cluster string) bool {
	cfg := a.config.Load().cfg
	return cfg.Peer != nil && slices.ContainsFunc(cfg.Peer.Trust, func(t peer.Trust) bool { return t.Cluster == cluster })
}

// askTicketKey asks the peers of a cluster, one after the other until one answers. Only they can answer
// for it: each is known by its own key.
func (a *app) askTicketKey(ctx context.Context, cluster string) (broker.TicketKey, error) {
	var answer broker.TicketKey
	text, err := a.askCluster(ctx, cluster, ticketKeyMethod, nil)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("read the key of cluster %s: %w", cluster, err)
	}
	return answer, nil
}

// askCluster asks the peers of a cluster, one after the other until one answers. Each gets its share of
// the time that is left, so that one that keeps silent does not take the time of the others.
func (a *app) askCluster(ctx context.Context, cluster, method string, body []byte) ([]byte, error) {
	if a.peer == nil {
		return nil, errors.New("this node has no [peer] section, so it cannot ask another cluster")
	}
	return a.askAny(ctx, a.peer.Peers(cluster), cluster, method, body)
}

func (a *app) askAny(ctx context.Context, names []string, cluster, method string, body []byte) ([]byte, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("no [[peer.trust]] with cluster %q and an address", cluster)
	}
	var failures []error
	for i, name := range names {
		shareCtx, cancel := share(ctx, len(names)-i)
		text, err := a.peer.Call(shareCtx, name, method, body)
		cancel()
		if err == nil {
			return text, nil
		}
		failures = append(failures, fmt.Errorf("ask %s: %w", name, err))
	}
	return nil, errors.Join(failures...)
}

// answerTicketKey answers any trusted peer: a public key is no secret.
func (a *app) answerTicketKey(context.Context, peer.Trust, []byte) ([]byte, error) {
	return json.Marshal(a.broker.AnswerTicketKey())
}
