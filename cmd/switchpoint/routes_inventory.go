package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"switchpoint/admin"
	"switchpoint/broker"
)

// inventoryRoutes are the admin operations on the desktops of the cluster.
func (a *app) inventoryRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET centers":          a.listCenters,
		"POST centers/scan":    a.scanCenter,
		"POST centers/confirm": a.confirmCenter,
		"GET assignments":      a.listAssignments,
		"POST assignments":     a.importAssignments,
	}
}

func (a *app) listCenters(ctx context.Context, _ admin.Request) (any, error) {
	if a.broker == nil {
		return nil, notHere("broker")
	}
	return a.broker.Centers(ctx)
}

func (a *app) scanCenter(ctx context.Context, r admin.Request) (any, error) {
	if a.broker == nil {
		return nil, notHere("broker")
	}
	name := r.Query.Get("name")
	if err := a.broker.ScanCenter(ctx, name, operator(r)); err != nil {
		return nil, refusedByStore(err)
	}
	return explanation{[]string{"a scan of center " + name + " is in the job queue"}}, nil
}

func (a *app) confirmCenter(ctx context.Context, r admin.Request) (any, error) {
	if a.broker == nil {
		return nil, notHere("broker")
	}
	name := r.Query.Get("name")
	n, err := a.broker.ConfirmVanish(ctx, name, operator(r))
	if err != nil {
		return nil, refusedByStore(err)
	}
	return explanation{[]string{fmt.Sprintf("the next scan of center %s marks up to %d desktops as vanished; it is in the job queue", name, n)}}, nil
}

// listAssignments gives what imports have assigned.
func (a *app) listAssignments(ctx context.Context, _ admin.Request) (any, error) {
	if a.broker == nil {
		return nil, notHere("broker")
	}
	return a.broker.ImportedAssignments(ctx)
}

// importAssignments takes the CSV file as the body.
func (a *app) importAssignments(ctx context.Context, r admin.Request) (any, error) {
	if a.broker == nil {
		return nil, notHere("broker")
	}
	report, err := a.broker.ImportAssignments(ctx, bytes.NewReader(r.Body), r.Query.Get("dry_run") != "", operator(r))
	if errors.Is(err, broker.ErrUnavailable) {
		return nil, err
	}
	if err != nil {
		return nil, badRequest(err)
	}
	return report, nil
}

// refusedByStore gives what an operator asked for in vain its own status.
func refusedByStore(err error) error {
	switch {
	case errors.Is(err, broker.ErrNotFound):
		return &admin.Error{Status: http.StatusNotFound, Text: err.Error()}
	case errors.Is(err, broker.ErrConflict):
		return &admin.Error{Status: http.StatusConflict, Text: err.Error()}
	}
	return err
}
