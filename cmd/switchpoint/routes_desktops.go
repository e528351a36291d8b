package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"switchpoint/admin"
	"switchpoint/broker"
)

// poolUseOf is how far back the fullest moment of a pool is looked for.
const poolUseOf = 24 * time.Hour

// desktopRoutes are the operations on single desktops.
func (a *app) desktopRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET desktops":              a.ofStore(a.showDesktops),
		"GET desktops/pools":        a.ofStore(a.showPoolUses),
		"POST desktops/maintenance": a.ofStore(a.beginMaintenance),
		"POST desktops/release":     a.ofStore(a.endMaintenance),
	}
}

func (a *app) showDesktops(ctx context.Context, r admin.Request) (any, error) {
	q := r.Query
	f := broker.DesktopFilter{Name: q.Get("name"), Pool: q.Get("pool"), Center: q.Get("center"), State: q.Get("state"), After: q.Get("after")}
	text := cmp.Or(q.Get("limit"), "0")
	var err error
	if f.Limit, err = strconv.Atoi(text); err != nil {
		return nil, badRequest(fmt.Errorf("limit: %q is no number", text))
	}
	if f, err = f.Check(); err != nil {
		return nil, badRequest(err)
	}
	return a.broker.Desktops(ctx, f)
}

func (a *app) showPoolUses(ctx context.Context, _ admin.Request) (any, error) {
	return a.broker.PoolUses(ctx, poolUseOf)
}

func (a *app) beginMaintenance(ctx context.Context, r admin.Request) (any, error) {
	text, err := a.maintain(ctx, r.Query.Get("name"), r.Query.Get("why"), operator(r))
	return explanation{[]string{text}}, err
}

func (a *app) endMaintenance(ctx context.Context, r admin.Request) (any, error) {
	text, err := a.endMaintain(ctx, r.Query.Get("name"), operator(r))
	return explanation{[]string{text}}, err
}
