package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"switchpoint/broker"
	"switchpoint/peer"
)

// waitingMethod is the peer call by which a broker asks another one how a login has ended that waits
// there (LG1).
const waitingMethod = "broker.waiting"

// askWaiting asks the broker of this cluster with that name. One that no [[peer.trust]] of the cluster
// names cannot be asked, now or later, which is as good as knowing of no such login.
func (a *app) askWaiting(ctx context.Context, name string, q broker.WaitingQuestion) (broker.WaitingAnswer, error) {
	var answer broker.WaitingAnswer
	if a.peer == nil || !slices.Contains(a.peer.Peers(a.broker.Cluster()), name) {
		return answer, nil
	}
	body, err := json.Marshal(q)
	if err != nil {
		return answer, err
	}
	text, err := a.peer.Call(ctx, name, waitingMethod, body)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("read the answer of %s: %w", name, err)
	}
	return answer, nil
}

// answerWaiting answers brokers of this cluster only: the outcome of a login opens a session.
func (a *app) answerWaiting(_ context.Context, from peer.Trust, body []byte) ([]byte, error) {
	if from.Cluster != a.broker.Cluster() {
		return nil, &peer.RemoteError{Code: codeOtherCluster, Text: "logins are told to brokers of cluster " + a.broker.Cluster() + " only"}
	}
	var q broker.WaitingQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: "read the question: " + err.Error()}
	}
	answer, err := a.broker.AnswerWaiting(q)
	if err != nil {
		return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: err.Error()}
	}
	return json.Marshal(answer)
}
