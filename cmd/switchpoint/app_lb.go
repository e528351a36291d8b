package main

import (
	"context"

	"switchpoint/configs"
	"switchpoint/lb"
)

// newLB binds the balancer's listeners and lets the other lb nodes of the datacenter call it.
func (a *app) newLB(cfg *configs.Config, table *lb.Table, abandon func(func(context.Context) error)) error {
	o := lb.Options{
		Listeners: cfg.LB.Listeners, Snapshot: a.health.engine.Snapshot, Report: a.health.engine.Report,
		Node: cfg.Node.Name, StateDir: cfg.Node.StateDir,
		Log: a.log.With("room", "lb"), Metrics: a.registry,
	}
	if a.peer != nil {
		o.Call = a.peer.Call
	}
	var err error
	if a.lb, err = lb.New(o); err != nil {
		return err
	}
	abandon(a.lb.Run)
	if a.peer != nil {
		for method, handle := range a.lb.Handlers() {
			a.peer.Handle(method, handle)
		}
	}
	return a.lb.SetTable(table)
}
