package main

import (
	"bytes"
	"context"
	"fmt"

	"switchpoint/admin"
)

// inventoryRoutes are the admin operations on the desktops of the cluster.
func (a *app) inventoryRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET centers":          a.ofStore(a.listCenters),
		"POST centers/scan":    a.ofBroker(a.scanCenter),
		"POST centers/confirm": a.ofBroker(a.confirmCenter),
		"GET assignments":      a.ofStore(a.listAssignments),
		"POST assignments":     a.ofStore(a.importAssignments),
		"POST assignments/add": a.ofStore(a.addAssignment),
	}
}

func (a *app) listCenters(ctx context.Context, _ admin.Request) (any, error) {
	return a.broker.Centers(ctx)
}

func (a *app) scanCenter(ctx context.Context, r admin.Request) (any, error) {
	name := r.Query.Get("name")
	if err := a.broker.ScanCenter(ctx, name, operator(r)); err != nil {
		return nil, err
	}
	return explanation{[]string{"a scan of center " + name + " is in the job queue"}}, nil
}

func (a *app) confirmCenter(ctx context.Context, r admin.Request) (any, error) {
	name := r.Query.Get("name")
	n, err := a.broker.ConfirmVanish(ctx, name, operator(r))
	if err != nil {
		return nil, err
	}
	return explanation{[]string{fmt.Sprintf("the next scan of center %s marks up to %d desktops as vanished; it is in the job queue", name, n)}}, nil
}

// listAssignments gives what imports have assigned.
func (a *app) listAssignments(ctx context.Context, _ admin.Request) (any, error) {
	return a.broker.ImportedAssignments(ctx)
}

// importAssignments takes the CSV file as the body.
func (a *app) importAssignments(ctx context.Context, r admin.Request) (any, error) {
	return a.broker.ImportAssignments(ctx, bytes.NewReader(r.Body), r.Query.Get("dry_run") != "", operator(r))
}
