package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"switchpoint/directory"
)

const (
	beat       = 2 * time.Second // DC2
	liveness   = 6 * time.Second // DC2: a broker that did not beat for so long is suspect
	pollSetup  = time.Second
	purgeEvery = 10 * time.Minute
	purgeBound = 30 * time.Second
	pollBound  = 2 * time.Second  // a background call that takes longer means: the store is down
	loadBound  = 10 * time.Second // one read of the whole setup
	// retireAfter lets logins that use a replaced directory client finish.
	retireAfter = loginTimeout

	keepSessions = 7 * 24 * time.Hour // PU2
)

// Run keeps the membership, follows the setup and runs the directory clients until ctx ends. It
// fails only with ErrFenced: another process has this site id now, so this one must stop.
func (b *Broker) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.heartbeats(ctx) })
	g.Go(func() error { b.followSetup(ctx); return nil })
	g.Go(func() error { b.purges(ctx); return nil })
	err := g.Wait()
	if errors.Is(err, ErrFenced) {
		return fmt.Errorf("broker: %w", err)
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollBound)
	defer cancel()
	if err := b.o.Store.Leave(leave, b.member); err != nil {
		b.log.Warn("could not leave the cluster; it will notice", "error", err)
	}
	return nil
}

func (b *Broker) heartbeats(ctx context.Context) error {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		err := b.background(ctx, &b.writeDown, "write", func(ctx context.Context) error { return b.o.Store.Heartbeat(ctx, b.member) })
		if errors.Is(err, ErrFenced) {
			b.fenced.Store(true)
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// background makes one bounded call of the store and remembers in down whether the store
// answered. Reads and writes are remembered apart: a locked or full database still reads. It
// logs the change, not every failure.
func (b *Broker) background(ctx context.Context, down *atomic.Bool, kind string, call func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, pollBound)
	defer cancel()
	err := call(bounded)
	if ctx.Err() != nil {
		return err
	}
	if lost := errors.Is(err, ErrUnavailable); down.Swap(lost) != lost {
		if lost {
			b.log.Error("database lost", "for", kind, "error", err)
		} else {
			b.log.Info("database is back", "for", kind)
		}
	}
	return err
}

// followSetup swaps the table whenever the setup's version changes, and owns the directory
// clients of the table.
func (b *Broker) followSetup(ctx context.Context) {
	clients := runners{ctx: ctx, stop: make(map[*directory.Client]func())}
	defer clients.wait()
	clients.follow(b.table.Load())
	tick := time.NewTicker(pollSetup)
	defer tick.Stop()
	told := int64(-1) // the version whose failure stands in the log
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.reload:
		}
		var version int64
		err := b.background(ctx, &b.readDown, "read", func(ctx context.Context) (err error) {
			version, err = b.o.Store.SetupVersion(ctx)
			return err
		})
		if err == nil && version != b.table.Load().version {
			// What fails is tried again: the database or a secret's file may be back by then.
			if err := b.loadSetup(ctx); err != nil && version != told {
				b.log.Error("the new setup cannot be used; the old one stays", "version", version, "error", err)
				told = version
			}
		}
		clients.follow(b.table.Load()) // Seed and Apply load the table themselves
	}
}

// loadSetup reads the setup from the store and makes it the one in use.
func (b *Broker) loadSetup(ctx context.Context) error {
	b.loading.Lock()
	defer b.loading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, loadBound)
	defer cancel()
	s, version, err := b.o.Store.Setup(ctx)
	if err != nil {
		return err
	}
	old := b.table.Load()
	if old.version == version {
		return nil
	}
	t, err := b.compile(s, old)
	b.metrics.setupFailed(err != nil)
	if err != nil {
		return fmt.Errorf("setup version %d: %w", version, err)
	}
	t.version = version
	if b.o.SetChecks != nil {
		b.o.SetChecks(t.checks)
	}
	b.table.Store(t)
	b.log.Info("setup in use", "version", version, "directories", len(t.directories), "destinations", len(t.destinations), "desktops", len(t.setup.Desktops))
	return nil
}

// runners runs each directory client of the current table, and those of older tables for as
// long as a login may still use them.
type runners struct {
	ctx  context.Context
	wg   sync.WaitGroup
	stop map[*directory.Client]func()
}

func (r *runners) follow(t *table) {
	wanted := make(map[*directory.Client]bool)
	for _, d := range t.directories {
		wanted[d.client] = true
		if r.stop[d.client] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(r.ctx)
		r.stop[d.client] = cancel
		r.wg.Go(func() { _ = d.client.Run(ctx) }) // it only ends with ctx
	}
	for c, stop := range r.stop {
		if wanted[c] {
			continue
		}
		delete(r.stop, c)
		r.wg.Go(func() {
			select {
			case <-time.After(retireAfter):
			case <-r.ctx.Done():
			}
			stop()
		})
	}
}

func (r *runners) wait() {
	for _, stop := range r.stop {
		stop()
	}
	r.wg.Wait()
}

func (b *Broker) purges(ctx context.Context) {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		for b.purge(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// purge does one bounded piece of the work and says whether there may be more.
func (b *Broker) purge(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, purgeBound)
	defer cancel()
	p, err := b.o.Store.Purge(ctx, Retention{Log: b.cfg.LogRetention, Sessions: keepSessions})
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			b.log.Warn("purge failed", "error", err)
		}
		return false
	}
	if p != (Purged{}) {
		b.log.Info("purged", "released", p.Released, "sessions", p.Sessions, "keys", p.Keys, "log", p.Log)
	}
	return p.More
}
