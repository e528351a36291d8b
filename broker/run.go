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
	beatEvery = 2 * time.Second // DC2
	pollSetup = time.Second
	pollBound = 2 * time.Second  // a background call that takes longer means: the store is down
	loadBound = 10 * time.Second // one read of the whole setup
	// retireAfter lets logins that use a replaced directory client finish.
	retireAfter = loginTimeout
)

// Run keeps the membership, follows the setup and runs the directory clients until ctx ends. It
// fails only with ErrFenced: another process has this site id now, so this one must stop.
func (b *Broker) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.heartbeats(ctx) })
	g.Go(func() error { b.followSetup(ctx); return nil })
	g.Go(func() error { b.takeHeartbeats(ctx); return nil })
	g.Go(func() error { b.shareLimits(ctx); return nil })
	g.Go(func() error { b.admit.run(ctx); return nil })
	err := g.Wait()
	if errors.Is(err, ErrFenced) {
		return fmt.Errorf("broker: %w", err)
	}
	if b.left() { // by Detach; Leave would cancel the heartbeat job, too
		return nil
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollBound)
	defer cancel()
	if err := b.o.Store.Leave(leave, b.Member()); err != nil {
		b.log.Warn("could not leave the cluster; it will notice", "error", err)
	}
	return nil
}

func (b *Broker) heartbeats(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	told := "" // the failure that stands in the log
	for {
		err := b.background(ctx, &b.writeDown, "write", b.beat)
		if errors.Is(err, ErrFenced) {
			b.fenced.Store(true)
			return err
		}
		if err == nil || errors.Is(err, ErrUnavailable) {
			told = ""
		} else if told != err.Error() {
			told = err.Error()
			b.log.Error("heartbeat failed", "error", err)
		}
		if err == nil {
			b.learnOriginals(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// beat says that this broker lives. One that was removed and lives joins again at once (LV3); when
// its site id was given away meanwhile, it is told ErrFenced, and when the cluster does not let it
// in, it is asked again with the next beat.
func (b *Broker) beat(ctx context.Context) error {
	b.beating.Lock()
	defer b.beating.Unlock()
	if b.left() {
		return nil
	}
	err := b.o.Store.Heartbeat(ctx, b.Member(), b.host.beat(b.admit.capacity()))
	if !errors.Is(err, ErrRemoved) {
		return err
	}
	if err := b.join(ctx); err != nil {
		return fmt.Errorf("removed from the cluster, and not let in again: %w", err)
	}
	b.log.Warn("removed from the cluster while alive; joined again", "site_id", b.cfg.SiteID, "epoch", b.Member().Epoch)
	return nil
}

// BeatOn says to the cluster's database itself that this broker lives, whatever stands between.
func (b *Broker) BeatOn(ctx context.Context, s ClusterStore) error {
	return s.Heartbeat(ctx, b.Member(), b.host.beat(b.admit.capacity()))
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
	told := int64(-1)                      // the version whose failure stands in the log
	queued, unqueued := int64(0), int64(0) // the version whose jobs are in the queue, and the one of which it is said that they are not
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
		if v := b.table.Load().version; v != queued && v > 0 {
			if err := b.syncInventoryJobs(ctx); err == nil {
				queued = v
			} else if ctx.Err() == nil && v != unqueued {
				unqueued = v
				b.log.Warn("the jobs of the inventory are not in the queue yet; they are added as soon as it takes them", "version", v, "error", err)
			}
		}
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
		b.o.SetChecks(t.monitors, t.checks)
	}
	b.table.Store(t)
	b.gate.setLimits(s.Limits)
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
