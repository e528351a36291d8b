package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

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
		AskPeers: a.askOutage, Log: a.log.With("room", "outage"), Metrics: a.registry,
	})
}

// outageMode is how the broker's store serves.
func (a *app) outageMode() (name, refuses string) {
	if a.outage == nil {
		return string(mode.Normal), ""
	}
	s := a.outage.State()
	if s.Serves() {
		return string(s.Mode), ""
	}
	if s.Refuses != "" {
		return string(s.Mode), s.Refuses
	}
	return string(s.Mode), s.Reason
}

// askOutage asks all brokers of this cluster that a [[peer.trust]] names. Who does not answer in time is
// not among the answers.
func (a *app) askOutage(ctx context.Context) []outage.Peer {
	if a.peer == nil {
		return nil
	}
	names := a.peer.Peers(a.broker.Cluster())
	answers := make([]*outage.Peer, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			text, err := a.peer.Call(ctx, name, outageMethod, nil)
			var p outage.Peer
			if err == nil && json.Unmarshal(text, &p) == nil {
				answers[i] = &p
			}
		})
	}
	wg.Wait()
	var out []outage.Peer
	for _, p := range answers {
		if p != nil {
			out = append(out, *p)
		}
	}
	return out
}

// answerOutage answers brokers of this cluster only.
func (a *app) answerOutage(_ context.Context, from peer.Trust, _ []byte) ([]byte, error) {
	switch {
	case from.Cluster != a.broker.Cluster():
		return nil, &peer.RemoteError{Code: codeOtherCluster, Text: "its mode is told to brokers of cluster " + a.broker.Cluster() + " only"}
	case a.outage == nil:
		return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: fmt.Sprintf("broker %s has no outage mode", a.broker.Node().Name)}
	}
	return json.Marshal(a.outage.Peer())
}
