package main

import (
	"context"
	"errors"
	"net/http"

	"switchpoint/admin"
	"switchpoint/broker"
)

// redirectRoutes are the operations on the redirect rules of a cluster.
func (a *app) redirectRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET redirect":      a.ofBroker(a.showRedirect),
		"GET redirect/test": a.ofBroker(a.tryRedirect),
	}
}

func (a *app) showRedirect(context.Context, admin.Request) (any, error) {
	return a.broker.RedirectStatus(), nil
}

func (a *app) tryRedirect(ctx context.Context, r admin.Request) (any, error) {
	user := r.Query.Get("user")
	if user == "" {
		return nil, badRequest(errors.New("say whose login: user=NAME"))
	}
	out, err := a.broker.TryRedirect(ctx, broker.RedirectTrial{User: user, Directory: r.Query.Get("directory"), AssumeDown: r.Query["down"]})
	if errors.Is(err, broker.ErrNotFound) {
		return nil, &admin.Error{Status: http.StatusNotFound, Text: err.Error()}
	}
	return out, err
}
