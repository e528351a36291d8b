package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"switchpoint/broker"
	"switchpoint/broker/outage"
	"switchpoint/peer"
)

// Peer calls by which a broker without its database tells another one of its cluster what has happened.
const (
	handActsMethod   = "broker.acts"        // what the other one is to merge (DC7)
	endSessionMethod = "broker.session-end" // a sign-out
)

// Codes of their refusals.
const codeNotNormal = "not-normal"

// handActs has the broker with that name merge acts. One that is not trusted takes none.
func (a *app) handActs(ctx context.Context, name string, h outage.Handed) (outage.Taken, error) {
	if !slices.Contains(a.otherBrokers(), name) {
		return outage.Taken{}, fmt.Errorf("%w: %q", peer.ErrUnknownPeer, name)
	}
	return askBroker[outage.Taken](ctx, a, name, handActsMethod, h)
}

func (a *app) answerHandActs(ctx context.Context, from peer.Trust, body []byte) ([]byte, error) {
	return answerBroker(a, from, body, "what was done without the database is", func(h outage.Handed) (any, error) {
		if a.outage == nil {
			return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: fmt.Sprintf("broker %s has no outage mode", a.broker.Node().Name)}
		}
		taken, err := a.outage.TakeActs(ctx, h)
		if errors.Is(err, outage.ErrNotNormal) {
			return nil, &peer.RemoteError{Code: codeNotNormal, Text: err.Error()}
		}
		if err == nil {
			a.log.Info("merged what another broker has done without its database", "room", "outage", "from", from.Name, "acts", taken.Merged, "refused", len(taken.Refused))
		}
		return taken, err
	})
}

// endSession tells the broker with that name of a sign-out.
func (a *app) endSession(ctx context.Context, name string, e broker.SessionEnd) error {
	_, err := askBroker[struct{}](ctx, a, name, endSessionMethod, e)
	return err
}

func (a *app) answerEndSession(ctx context.Context, from peer.Trust, body []byte) ([]byte, error) {
	return answerBroker(a, from, body, "sign-outs are", func(e broker.SessionEnd) (any, error) {
		if err := e.Validate(); err != nil {
			return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: err.Error()}
		}
		if a.outage != nil {
			a.outage.NoteEnd(e.ID)
		}
		return struct{}{}, a.broker.TakeSessionEnd(ctx, e)
	})
}

// unmergedSession gives what the database may not have yet of a session.
func (a *app) unmergedSession(ctx context.Context, tokenHash [32]byte) (*broker.Session, []broker.Act, error) {
	if a.outage == nil {
		return nil, nil, nil
	}
	return a.outage.Unmerged(ctx, tokenHash)
}
