package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"switchpoint/peer"
)

// codeOtherCluster answers a peer that is no broker of this cluster.
const codeOtherCluster = "other-cluster"

// otherBrokers are those of this cluster that a [[peer.trust]] names.
func (a *app) otherBrokers() []string {
	if a.peer == nil {
		return nil
	}
	return a.peer.Peers(a.broker.Cluster())
}

// askBroker asks the broker of this cluster with that name. One that no [[peer.trust]] of the cluster
// names cannot be asked: its answer is the zero one, which is to mean that it knows nothing.
func askBroker[A any](ctx context.Context, a *app, name, method string, question any) (answer A, err error) {
	if !slices.Contains(a.otherBrokers(), name) {
		return answer, nil
	}
	return callBroker[A](ctx, a, name, method, question)
}

func callBroker[A any](ctx context.Context, a *app, name, method string, question any) (answer A, err error) {
	body, err := json.Marshal(question)
	if err != nil {
		return answer, err
	}
	text, err := a.peer.Call(ctx, name, method, body)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("read the answer of %s: %w", name, err)
	}
	return answer, nil
}

// brokerAnswer is what one of many brokers said.
type brokerAnswer[A any] struct {
	name   string
	answer A
	err    error
}

// askBrokers asks all other brokers of this cluster at once and waits for all, as long as ctx does.
func askBrokers[A any](ctx context.Context, a *app, method string, question any) []brokerAnswer[A] {
	names := a.otherBrokers()
	answers := make([]brokerAnswer[A], len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			answers[i].name = name
			answers[i].answer, answers[i].err = callBroker[A](ctx, a, name, method, question)
		})
	}
	wg.Wait()
	return answers
}

// answerBroker answers brokers of this cluster only; what says of what nobody else is told.
func answerBroker[Q any](a *app, from peer.Trust, body []byte, what string, answer func(Q) (any, error)) ([]byte, error) {
	if from.Cluster != a.broker.Cluster() {
		return nil, &peer.RemoteError{Code: codeOtherCluster, Text: what + " for brokers of cluster " + a.broker.Cluster() + " only"}
	}
	var q Q
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: "read the question: " + err.Error()}
	}
	out, err := answer(q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}
