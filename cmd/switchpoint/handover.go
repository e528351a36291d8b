package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"switchpoint/broker"
	"switchpoint/peer"
)

// sessionMethod is the peer call by which a broker asks the one that signed a user in (LG2).
const sessionMethod = "broker.session"

// codeOtherCluster answers a peer that is no broker of this cluster.
const codeOtherCluster = "other-cluster"

// askSession asks the broker of this cluster with that name. One that no [[peer.trust]] of the cluster
// names cannot be asked, which is as good as knowing nothing: the database knows.
func (a *app) askSession(ctx context.Context, name string, q broker.SessionQuestion) (broker.SessionAnswer, error) {
	var answer broker.SessionAnswer
	if a.peer == nil || !slices.Contains(a.peer.Peers(a.broker.Cluster()), name) {
		return answer, nil
	}
	body, err := json.Marshal(q)
	if err != nil {
		return answer, err
	}
	text, err := a.peer.Call(ctx, name, sessionMethod, body)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("read the answer of %s: %w", name, err)
	}
	return answer, nil
}

// answerSession answers brokers of this cluster only: the users of another one are not its business.
func (a *app) answerSession(ctx context.Context, from peer.Trust, body []byte) ([]byte, error) {
	if from.Cluster != a.broker.Cluster() {
		return nil, &peer.RemoteError{Code: codeOtherCluster, Text: "sessions are told to brokers of cluster " + a.broker.Cluster() + " only"}
	}
	var q broker.SessionQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: "read the question: " + err.Error()}
	}
	answer, err := a.broker.AnswerSession(ctx, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}
