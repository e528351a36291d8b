package outagebench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"switchpoint/bench/logins"
	"switchpoint/broker"
	"switchpoint/broker/outage"
	"switchpoint/broker/outage/mode"
)

// Bounds of the part logins.
const (
	leaseEvery = 2 * time.Second // in which brokers copy leases from the database there
	leaseRate  = 200             // connects a second that make leases
	maxCopy    = time.Minute
	maxMerge   = 10 * time.Minute
)

const oneBroker = "logins of one broker"

// logins holds the highest rate with the database, from the host cache, and from leases.
func (r *run) logins(ctx context.Context) error {
	normal, err := r.hostCache(ctx)
	if err != nil || r.o.Quick {
		return err
	}
	return r.leased(ctx, normal)
}

// hostCache has one chain with and without its database, and merges.
func (r *run) hostCache(ctx context.Context) (normal float64, err error) {
	chain, err := r.site.Start(ctx, r.hostCached(broker.OutageFast))
	if err != nil {
		return 0, err
	}
	defer chain.Close()
	if err := r.cached(ctx, chain); err != nil {
		return 0, err
	}
	load := logins.Load{Kept: true}
	if normal, err = r.held(ctx, chain, oneBroker+", with the database", load); err != nil {
		return 0, err
	}
	if err := r.synced(ctx, chain); err != nil { // with those who have signed in meanwhile
		return 0, err
	}
	if err := r.without(ctx, chain, mode.HostCache, oneBroker+", from the host cache", load, normal); err != nil {
		return 0, err
	}
	return normal, r.merged(ctx, chain)
}

// held is a rate that is held, as a row. A rate with errors is none.
func (r *run) held(ctx context.Context, chain *logins.Chain, name string, load logins.Load) (float64, error) {
	v, err := chain.Hold(ctx, name, load)
	if err != nil {
		return 0, err
	}
	rate := v.Achieved()
	if v.OK != v.Offered {
		rate = 0
	}
	line := note(row(name, "logins/s", rate), "%s offered for %s; %d of %d not answered; %d had to wait %v",
		number(v.Rate), v.Took.Round(time.Second), v.Offered-v.OK, v.Offered, v.Waited, v.Errors)
	if load.Away {
		line = atLeast(line, minLogins)
	}
	r.report.add(line, note(row(name+": p99", "ms", v.Login.P99), "p50 %s, p99.9 %s, slowest %s ms", number(v.Login.P50), number(v.Login.P999), number(v.Login.Max)))
	return rate, nil
}

// without stops the database, holds the highest rate, and lets the database come back: then merged is due.
func (r *run) without(ctx context.Context, chain *logins.Chain, m mode.Mode, name string, load logins.Load, normal float64) error {
	db := r.site.Database()
	w, err := watch(ctx, chain)
	if err != nil {
		return err
	}
	defer w.stop()
	gone := time.Now()
	if err := db.Pause(); err != nil {
		return err
	}
	defer db.Resume()
	if err := w.until(ctx, m, gone, maxFast*time.Second+switchRoom); err != nil {
		return err
	}
	w.stop() // it would take its part of the processor
	load.Away = true
	rate, err := r.held(ctx, chain, name, load)
	if err != nil {
		return err
	}
	r.report.add(row(name+" / with the database", "x", ratio(rate, normal)))
	return nil
}

// merged lets the database come back and measures how long the acts of the outage take to be in it.
func (r *run) merged(ctx context.Context, chain *logins.Chain) error {
	r.site.Bar().Say("the database is back: its acts are merged")
	w, err := watch(ctx, chain)
	if err != nil {
		return err
	}
	defer w.stop()
	back := time.Now()
	if r.o.Quick {
		err = endOutage(ctx, chain)
	}
	if err := errors.Join(err, w.settled(ctx, maxMerge)); err != nil {
		return err
	}
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	began, ended := w.mergeBegan(back), last(w.broker).at
	n, took := most(w.journal), ended.Sub(began)
	r.report.add(note(row("merge after the outage", "acts/s", ratio(float64(n), took.Seconds())), "%s acts in %s, while nobody signs in; all is normal %s after the database is back",
		thousands(n), took.Round(10*time.Millisecond), ended.Sub(back).Round(100*time.Millisecond)))
	return nil
}

// ratio is 0 where there is nothing to compare with: JSON knows no infinity.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// most is the largest number of acts that were seen.
func most(list []acts) (n int) {
	for _, a := range list {
		n = max(n, a.n)
	}
	return n
}

// leased does the same for a broker that has nothing but leases.
func (r *run) leased(ctx context.Context, normal float64) error {
	plan := r.hostCached(broker.OutageFast)
	plan.Owned, plan.Outage = r.o.Leased, section(broker.OutageLeases, broker.OutageFast, leaseEvery)
	chain, err := r.site.Start(ctx, plan)
	if err != nil {
		return err
	}
	defer chain.Close()
	if err := chain.Warm(ctx); err != nil {
		return err
	}
	made, err := chain.Sign(ctx, "everybody connects, which makes leases", logins.Load{Rate: leaseRate, Count: r.o.Leased, Users: r.o.Leased, Stay: true}, nil)
	if err == nil && made.OK < made.Offered {
		err = fmt.Errorf("%d of %d connects failed: %v", made.Offered-made.OK, made.Offered, made.Errors)
	}
	if err != nil {
		return err
	}
	if err := leasesCopied(ctx, chain, r.o.Leased); err != nil {
		return err
	}
	return r.without(ctx, chain, mode.Leased, oneBroker+", from leases", logins.Load{Kept: true, Users: r.o.Leased}, normal)
}

// leasesCopied waits until the broker has copied the leases of all users from the database, as it does every
// leaseEvery.
func leasesCopied(ctx context.Context, chain *logins.Chain, users int) error {
	for made := time.Now(); sleep(ctx, leaseEvery/10); {
		var s outage.Status
		if err := chain.Ask(ctx, http.MethodGet, "outage", &s); err != nil {
			return err
		}
		if s.Leases.Usable && s.Leases.Held >= users && s.Leases.Synced.After(made) {
			return nil
		}
		if time.Since(made) > maxCopy {
			return fmt.Errorf("the broker has not copied the leases of %d users within %s: it has %d of %s; %s %s",
				users, maxCopy, s.Leases.Held, s.Leases.Synced.Format(time.TimeOnly), s.Leases.Why, s.Leases.Error)
		}
	}
	return ctx.Err()
}
