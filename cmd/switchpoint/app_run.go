package main

import (
	"context"
	"errors"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"

	"switchpoint/healthcheck"
)

// Run serves until ctx ends. The front (what clients talk to) stops first and drains while the
// back (what it needs to answer) still runs.
func (a *app) Run(ctx context.Context, hup <-chan os.Signal) error {
	if a.store != nil {
		defer func() { _ = a.store.Close() }()
	}
	frontCtx, stopFront := context.WithCancel(ctx)
	defer stopFront()
	backCtx, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	back, backCtx := errgroup.WithContext(backCtx)
	back.Go(func() error { return a.health.engine.Run(backCtx) })
	back.Go(func() error { return a.admin.Run(backCtx) })
	if a.peer != nil {
		back.Go(func() error { return a.peer.Run(backCtx) })
	}
	if a.outage != nil {
		back.Go(func() error { return a.outage.Run(backCtx) })
	}
	if a.broker != nil {
		back.Go(func() error { return a.broker.Run(backCtx) })
	}
	if a.worker != nil {
		back.Go(func() error { return a.runWorker(backCtx) })
	}
	if a.adSites != nil {
		back.Go(func() error { return a.adSites.Run(backCtx) })
	}
	if a.rivals != nil {
		back.Go(func() error { return a.rivals.Run(backCtx) })
	}
	back.Go(func() error { return a.reloadOn(backCtx, hup) })
	defer context.AfterFunc(backCtx, stopFront)()

	err := a.runFront(frontCtx)
	stopBack()
	if backErr := back.Wait(); err == nil {
		err = backErr
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// runFront serves clients. A role waits for the first probe of what it decides on (design
// section 5), and of nothing else: gtm may watch the lb of its own process, which watches the
// broker of its own process, so the broker answers at once, then the lb, then gtm.
func (a *app) runFront(ctx context.Context) error {
	front, ctx := errgroup.WithContext(ctx)
	cfg := a.config.Load().cfg
	if a.api != nil {
		front.Go(func() error { return a.api.Run(ctx) })
	}
	if a.lb != nil {
		front.Go(func() error { return a.serveWhenKnown(ctx, cfg.LB.Checks(), a.lb.Run) })
	}
	if a.gtm != nil {
		front.Go(func() error { return a.serveWhenKnown(ctx, cfg.GTM.Checks(), a.gtm.Run) })
	}
	front.Go(func() error {
		a.awaitKnown(ctx, append(cfg.HealthConfig().Checks, a.health.brokerChecks()...))
		if ctx.Err() == nil {
			a.serving.Store(true)
			a.log.Info("serving", a.addresses()...)
		}
		<-ctx.Done()
		a.serving.Store(false) // before the drain, so that what asks /readyz sends nobody here any more
		a.log.Info("stopping")
		return nil
	})
	return front.Wait()
}

// serveWhenKnown runs a role after its checks are known. Under an ended context the role still
// runs, because that is how it gives its sockets back.
func (a *app) serveWhenKnown(ctx context.Context, checks []healthcheck.Key, run func(context.Context) error) error {
	a.awaitKnown(ctx, checks)
	return run(ctx)
}

// awaitKnown returns when each check has had its first probe, when the engine's start deadline
// has passed, or when ctx ends.
func (a *app) awaitKnown(ctx context.Context, checks []healthcheck.Key) {
	var watcher sync.WaitGroup
	defer watcher.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watcher.Go(func() {
		select {
		case <-a.health.engine.Ready():
			cancel()
		case <-ctx.Done():
		}
	})
	snapshots := a.health.engine.Subscribe()
	defer snapshots.Close()
	for !a.health.known(checks) {
		if _, _, err := snapshots.Next(ctx); err != nil {
			return
		}
	}
}
