package main

import (
	"context"
	"fmt"

	"switchpoint/broker"
	"switchpoint/broker/outage"
	"switchpoint/broker/outage/mode"
	"switchpoint/broker/postgres"
	"switchpoint/configs"
	"switchpoint/peer"
)

// outageMethod is the peer call by which a broker asks another one whether it still has the database (DC7).
const outageMethod = "broker.outage"

// newOutage puts the files that a broker can serve from before its database.
func (a *app) newOutage(ctx context.Context, c broker.Config, cfg *configs.Config, primary *postgres.Store) (*outage.Store, error) {
	return outage.New(ctx, outage.Options{
		Config: c.Outage, Dir: cfg.Node.StateDir, Name: cfg.Node.Name, Primary: primary,
		Check:    func(s broker.Setup) error { return s.WithDefaults().Validate(monitorNames(cfg), c.Cluster) },
		Beat:     func(ctx context.Context) error { return a.broker.BeatOn(ctx, primary) },
		Capacity: func() int { return a.broker.Alive().Capacity },
		AskPeers: a.askOutage, Tell: a.tellOperation, HandOver: a.handActs, Log: a.log.With("room", "outage"), Metrics: a.registry,
	})
}

// outageMode is how the broker's store serves.
func (a *app) outageMode() (name, refuses string) {
	if a.outage == nil {
		return string(mode.Normal), ""
	}
	s := a.outage.State()
	return string(s.Mode), s.WhyNot()
}

// askOutage asks all brokers of this cluster that a [[peer.trust]] names. Who does not answer in time is
// not among the answers.
func (a *app) askOutage(ctx context.Context) []outage.Peer {
	var out []outage.Peer
	for _, p := range askBrokers[outage.Peer](ctx, a, outageMethod, struct{}{}) {
		if p.err == nil {
			p.answer.Name = p.name // nobody speaks for another one
			out = append(out, p.answer)
		}
	}
	return out
}

func (a *app) answerOutage(_ context.Context, from peer.Trust, body []byte) ([]byte, error) {
	return answerBroker(a, from, body, "its mode is", func(struct{}) (any, error) {
		if a.outage == nil {
			return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: fmt.Sprintf("broker %s has no outage mode", a.broker.Node().Name)}
		}
		p := a.outage.Peer()
		if a.broker.Drained() != nil { // nobody is to step aside for it
			p.Mode = mode.Draining
		}
		return p, nil
	})
}
