package main

import (
	"context"

	"switchpoint/broker"
	"switchpoint/peer"
)

// Peer calls by which a broker asks another one of its cluster about the sign-ins there.
const (
	sessionMethod = "broker.session" // of a session: the one that made it (LG2)
	waitingMethod = "broker.waiting" // of a login that waits there (LG1)
)

// askSession asks the broker of this cluster with that name. One that cannot be asked knows nothing: the
// database knows.
func (a *app) askSession(ctx context.Context, name string, q broker.SessionQuestion) (broker.SessionAnswer, error) {
	return askBroker[broker.SessionAnswer](ctx, a, name, sessionMethod, q)
}

func (a *app) answerSession(ctx context.Context, from peer.Trust, body []byte) ([]byte, error) {
	return answerBroker(a, from, body, "sessions are", func(q broker.SessionQuestion) (any, error) { return a.broker.AnswerSession(ctx, q) })
}

// askWaiting asks the broker of this cluster with that name. One that cannot be asked, now or later, is as
// good as one that knows of no such login.
func (a *app) askWaiting(ctx context.Context, name string, q broker.WaitingQuestion) (broker.WaitingAnswer, error) {
	return askBroker[broker.WaitingAnswer](ctx, a, name, waitingMethod, q)
}

// answerWaiting tells the outcome of a login, which opens a session.
func (a *app) answerWaiting(_ context.Context, from peer.Trust, body []byte) ([]byte, error) {
	return answerBroker(a, from, body, "logins are", func(q broker.WaitingQuestion) (any, error) {
		answer, err := a.broker.AnswerWaiting(q)
		if err != nil {
			return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: err.Error()}
		}
		return answer, nil
	})
}
