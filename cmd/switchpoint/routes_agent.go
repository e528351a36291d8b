package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"switchpoint/admin"
	"switchpoint/broker"
)

// agentRoutes are the admin operations on the agents of desktops.
func (a *app) agentRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET agents":        a.ofStore(a.listAgents),
		"POST agents/token": a.ofBroker(a.makeAgentToken),
		"POST agents/clean": a.ofBroker(a.cleanDesktop),
	}
}

func (a *app) listAgents(ctx context.Context, r admin.Request) (any, error) {
	return a.broker.Agents(ctx, r.Query.Get("desktop"))
}

// makeAgentToken answers with the token and nothing else, so that it can go into a file.
func (a *app) makeAgentToken(ctx context.Context, r admin.Request) (any, error) {
	life, err := time.ParseDuration(r.Query.Get("for"))
	if err != nil {
		return nil, badRequest(fmt.Errorf("for: %w", err))
	}
	token, err := a.broker.NewEnrolToken(ctx, r.Query.Get("desktop"), r.Query.Get("pool"), life, operator(r))
	if errors.Is(err, broker.ErrNotFound) {
		return nil, &admin.Error{Status: http.StatusNotFound, Text: fmt.Sprintf("there is no desktop or desktop pool %q", r.Query.Get("desktop")+r.Query.Get("pool"))}
	}
	if err != nil {
		return nil, err
	}
	return explanation{[]string{token}}, nil
}

func (a *app) cleanDesktop(ctx context.Context, r admin.Request) (any, error) {
	name := r.Query.Get("desktop")
	err := a.broker.ClearDesktop(ctx, name, operator(r))
	if errors.Is(err, broker.ErrNotFound) {
		return nil, &admin.Error{Status: http.StatusNotFound, Text: fmt.Sprintf("desktop %q neither waits for a reset nor is quarantined", name)}
	}
	if err != nil {
		return nil, err
	}
	return explanation{[]string{"desktop " + name + " is back in its pool"}}, nil
}
