package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"switchpoint/admin"
	"switchpoint/broker/outage"
	"switchpoint/broker/outage/mode"
	"switchpoint/peer"
)

// outageForceMethod is the peer call by which an operator's word reaches the other brokers of a cluster.
const outageForceMethod = "broker.outage.force"

// Scopes of an operator's word (HC7).
const (
	scopeBroker     = "broker"
	scopeDatacenter = "datacenter"
	scopeCluster    = "cluster"
)

// outageRoutes are the operations on the time without a database.
func (a *app) outageRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET outage":               a.ofOutage(a.showOutage),
		"POST outage/force":        a.ofOutage(a.forceOutage),
		"POST outage/release":      a.ofOutage(a.releaseOutage),
		"GET hostcache":            a.ofOutage(a.showHostCache),
		"GET hostcache/quarantine": a.ofOutage(a.showQuarantine),
		"POST hostcache/sync":      a.ofOutage(a.syncHostCache),
		"POST hostcache/rehearse":  a.ofOutage(a.rehearseHostCache),
	}
}

// ofOutage guards an operation that only a broker with outage modes has.
func (a *app) ofOutage(op admin.Operation) admin.Operation {
	return a.ofBroker(func(ctx context.Context, r admin.Request) (any, error) {
		if a.outage == nil {
			return nil, &admin.Error{Status: http.StatusNotFound, Text: "this broker has no outage modes: its database is embedded, or [broker.outage] mode is \"off\""}
		}
		return op(ctx, r)
	})
}

func (a *app) showOutage(ctx context.Context, _ admin.Request) (any, error) {
	return a.outage.Status(ctx)
}

// outageWord is an operator's word on its way to other brokers; Force is nil where it is taken back.
type outageWord struct {
	Force      *mode.Force `json:"force"`
	Datacenter string      `json:"datacenter,omitempty"` // empty: all
}

// outageAck is what a broker says to it.
type outageAck struct {
	Node string `json:"node"`
	Has  bool   `json:"has"`
	Why  string `json:"why,omitempty"` // it has not
}

// outageChange is what the asked node answers to an operator.
type outageChange struct {
	Lines []string    `json:"lines"`
	Node  string      `json:"node"`
	Acks  []outageAck `json:"acks"`
}

func (a *app) forceOutage(ctx context.Context, r admin.Request) (any, error) {
	on, err := strconv.ParseBool(r.Query.Get("on"))
	if err != nil {
		return nil, badRequest(errors.New("say on=true or on=false"))
	}
	f := &mode.Force{On: on, By: operator(r), Why: r.Query.Get("why")}
	lasting, err := lastingOf(r)
	if err != nil {
		return nil, err
	}
	if lasting > 0 {
		f.Until = time.Now().Add(lasting)
	}
	return a.spreadOutage(ctx, r, f)
}

func (a *app) releaseOutage(ctx context.Context, r admin.Request) (any, error) {
	return a.spreadOutage(ctx, r, nil)
}

// spreadOutage takes the word here, if it is meant here, and brings it to the others.
func (a *app) spreadOutage(ctx context.Context, r admin.Request, f *mode.Force) (any, error) {
	word := outageWord{Force: f}
	scope := r.Query.Get("scope")
	switch scope {
	case "", scopeBroker, scopeCluster:
	case scopeDatacenter:
		word.Datacenter = a.broker.Node().Datacenter
	default:
		return nil, badRequest(fmt.Errorf("scope %q is none of broker, datacenter, cluster", scope))
	}
	text, err := a.takeWord(ctx, f, operator(r))
	if err != nil {
		return nil, err
	}
	out := outageChange{Lines: []string{text}, Node: a.broker.Node().Name}
	if scope == scopeDatacenter || scope == scopeCluster {
		out.Acks = a.tellOutage(ctx, word)
	}
	return out, nil
}

// takeWord takes the word for this broker, and says what by has done.
func (a *app) takeWord(ctx context.Context, f *mode.Force, by string) (string, error) {
	if err := a.outage.SetForce(ctx, f); err != nil {
		if errors.Is(err, outage.ErrNothingToServeFrom) {
			err = &admin.Error{Status: http.StatusConflict, Text: err.Error()}
		}
		return "", err
	}
	said := "has taken back the word on the outage of " + a.broker.Node().Name
	if f != nil {
		said = fmt.Sprintf("has forced broker %s %s the outage", a.broker.Node().Name, map[bool]string{true: "into", false: "out of"}[f.On])
	}
	a.broker.NoteOperator(ctx, by, said)
	return by + " " + said, nil
}

// tellOutage brings a word to all other brokers of the cluster that are trusted.
func (a *app) tellOutage(ctx context.Context, word outageWord) []outageAck {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	answers := askBrokers[outageAck](ctx, a, outageForceMethod, word)
	acks := make([]outageAck, len(answers))
	for i, b := range answers {
		acks[i] = b.answer
		acks[i].Node = b.name
		if b.err != nil {
			acks[i].Has, acks[i].Why = false, b.err.Error()
		}
	}
	return acks
}

// answerOutageForce takes the word of an operator at another broker of the cluster.
func (a *app) answerOutageForce(ctx context.Context, from peer.Trust, body []byte) ([]byte, error) {
	return answerBroker(a, from, body, "words on the outage are", func(word outageWord) (any, error) {
		ack := outageAck{Node: a.broker.Node().Name}
		switch own := a.broker.Node().Datacenter; {
		case a.outage == nil:
			ack.Why = "it has no outage modes"
		case word.Datacenter != "" && word.Datacenter != own:
			ack.Why = "it stands in datacenter " + own
		default:
			if err := a.outage.SetForce(ctx, word.Force); err != nil {
				ack.Why = err.Error()
			} else {
				ack.Has = true
			}
		}
		return ack, nil
	})
}

func (a *app) showHostCache(context.Context, admin.Request) (any, error) {
	return a.outage.HostCache().Status(), nil
}

func (a *app) showQuarantine(ctx context.Context, _ admin.Request) (any, error) {
	return a.outage.HostCache().Quarantine(ctx, 1000)
}

func (a *app) syncHostCache(ctx context.Context, _ admin.Request) (any, error) {
	return a.outage.HostCache().Sync(ctx)
}

func (a *app) rehearseHostCache(ctx context.Context, r admin.Request) (any, error) {
	sample, err := strconv.Atoi(r.Query.Get("sample"))
	if err != nil || sample < 1 || sample > 10_000 {
		return nil, badRequest(errors.New("sample is to be 1 to 10000 users"))
	}
	return a.outage.HostCache().Rehearse(ctx, sample)
}
