package logins

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// desktops of a chain's pool. A login offers one, whoever else is offered the same.
const desktops = 2000

// keptConnections is how many connections the clients of a chain have that keep theirs.
const keptConnections = 128

// warmUp is what a chain carries before it is measured.
const (
	warmUpRate = 50
	warmUpFor  = 2 * time.Second
)

// mode is how clients connect.
type mode struct {
	name string
	kept int
}

func modes() []mode {
	return []mode{{"new TLS connection each", 0}, {"kept connections", keptConnections}}
}

// chain measures logins through gtm, lb and one broker, on each store.
func (r *run) chain(ctx context.Context) error {
	for _, store := range r.o.Stores {
		if err := r.chainOn(ctx, store); err != nil {
			return fmt.Errorf("%s: %w", store, err)
		}
	}
	return nil
}

func (r *run) chainOn(ctx context.Context, store string) error {
	c, err := r.stage.startChain(ctx, r.bar, chainSpec{brokers: 1, sqlite: store == storeSQLite, desktops: desktops})
	if err != nil {
		return err
	}
	defer c.close()
	if err := r.warm(ctx, c, c.clients()); err != nil {
		return err
	}
	for i, m := range modes() {
		t := c.clients()
		t.Kept = m.kept
		name := fmt.Sprintf("login, %s, %s", m.name, store)
		held, err := r.highest(ctx, name, c.meter(), t)
		if err != nil {
			return err
		}
		r.addRates(name, held)
		if err := r.steady(ctx, name, c, t, held.Rate); err != nil {
			return err
		}
		if i == 0 && store == storePostgres {
			if err := r.curve(ctx, c, t, held.Rate); err != nil {
				return err
			}
		}
	}
	return nil
}

// addRates adds the rows of a long run.
func (r *run) addRates(name string, v *Measured) {
	length := v.Took.Round(time.Second)
	why := "0 errors"
	if v.Failed+v.Busy > 0 {
		why = fmt.Sprintf("%d failed, %d refused", v.Failed, v.Busy)
	}
	rate := row(name, "logins/s", v.rate()).atLeast(minLogins).goal(goalLogins).note("%s for %s, %s; the limit: %s", number(v.Rate), length, why, v.CPU.limit())
	if v.Failed+v.Busy > 0 || v.OK == 0 {
		rate.Value = 0 // a rate with errors is none
	}
	r.report.add(rate, row(name+", p99 at that rate", "ms", v.Login.P99).note("p50 %s, p99.9 %s, slowest %s ms", number(v.Login.P50), number(v.Login.P999), number(v.Login.Max)))
}

// steady holds the rate of the goal, or of the limit where that is out of reach: how fast logins are
// while the chain has something left.
func (r *run) steady(ctx context.Context, name string, c *chain, t task, highest float64) error {
	t.Rate, t.For, t.Poisson = minLogins, r.o.Hold, true
	switch {
	case r.o.Rate > 0 || highest < minLogins:
		return nil // it is the rate that was asked for, or there is none
	case highest >= goalLogins:
		t.Rate = goalLogins
	}
	name = fmt.Sprintf("%s, at %s/s", name, number(t.Rate))
	v, err := r.load(ctx, name, t, c.meter())
	if err != nil {
		return err
	}
	r.keep(v)
	r.report.add(row(name+": p99", "ms", v.Login.P99).goal(goalP99).note("%d of %d failed or were refused; p50 %s, p99.9 %s, slowest %s ms; %s",
		v.Failed+v.Busy, v.Offered, number(v.Login.P50), number(v.Login.P999), number(v.Login.Max), v.CPU.limit()))
	return nil
}

// warm opens what is opened once.
func (r *run) warm(ctx context.Context, c *chain, t task) error {
	t.Rate, t.For = warmUpRate, warmUpFor
	if r.o.Quick {
		t.For = time.Second
	}
	v, err := r.load(ctx, "warming up", t, c.meter())
	if err == nil && v.OK == 0 {
		err = fmt.Errorf("no login of %d succeeded: %v", v.Offered, v.Errors)
	}
	return err
}

// highest searches the highest rate that the chain sustains and holds it for a while.
func (r *run) highest(ctx context.Context, name string, m meter, t task) (*Measured, error) {
	rate := r.o.Rate
	if rate == 0 {
		var err error
		if rate, err = r.find(ctx, name, t, m, searchStart); err != nil {
			return nil, err
		}
		rate *= holdPart
	}
	return r.hold(ctx, name, m, t, rate)
}

// hold runs a rate for a while; one that it cannot hold is lowered, unless it was asked for.
func (r *run) hold(ctx context.Context, name string, m meter, t task, rate float64) (*Measured, error) {
	t.For, t.Poisson = r.o.Hold, true
	for try := 1; ; try++ {
		t.Rate = rate
		v, err := r.load(ctx, name, t, m)
		if err != nil {
			return nil, err
		}
		why := sustained(v.Result, holdP99)
		if why == "" || r.o.Rate > 0 || try == maxHolds {
			return r.keep(v), nil
		}
		r.report.noteOnce("%s: %.0f/s did not hold for %s: %s", name, rate, r.o.Hold, why)
		rate *= holdLess
	}
}

// find runs the search.
func (r *run) find(ctx context.Context, name string, t task, m meter, start float64) (float64, error) {
	s := newSearch(start)
	for {
		t.Rate, t.For = s.next, r.o.Probe
		v, err := r.load(ctx, name+", the highest rate", t, m)
		if err != nil {
			return 0, err
		}
		why := sustained(v.Result, probeP99)
		if !s.tell(why == "") {
			break
		}
	}
	if s.low == 0 {
		return 0, fmt.Errorf("%s: not even %.0f/s can be sustained", name, s.next)
	}
	return s.low, nil
}

// curve measures throughput and latency over the offered load.
func (r *run) curve(ctx context.Context, c *chain, t task, highest float64) error {
	parts := []float64{0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5}
	if r.o.Quick {
		parts = []float64{0.5, 1}
	}
	t.For, t.Poisson = r.o.Probe, true
	for _, part := range parts {
		t.Rate = part * highest
		v, err := r.load(ctx, "throughput over load", t, c.meter())
		if err != nil {
			return err
		}
		r.report.Curve = append(r.report.Curve, Point{
			Offered: t.Rate, Rate: v.rate(), P50: v.Login.P50, P99: v.Login.P99, Failed: v.Failed + v.Busy, Waited: v.Waited,
		})
	}
	return nil
}

// journeys measures whole visits: sign in, offers, connect, sign out.
func (r *run) journeys(ctx context.Context) error {
	c, err := r.stage.startChain(ctx, r.bar, chainSpec{brokers: 1, desktops: desktops})
	if err != nil {
		return err
	}
	defer c.close()
	t := c.clients()
	t.Journey = true
	if err := r.warm(ctx, c, t); err != nil {
		return err
	}
	const name = "whole journey, new TLS connection each, postgres"
	v, err := r.highest(ctx, name, c.meter(), t)
	if err != nil {
		return err
	}
	r.report.add(row(name, "journeys/s", v.rate()).note("sign in, offers, connect, sign out; %d failed; p99 %s ms; the limit: %s", v.Failed, number(v.Journey.P99), v.CPU.limit()))
	return nil
}

// soak runs for long enough that the database makes checkpoints and cleans up meanwhile.
func (r *run) soak(ctx context.Context) error {
	c, err := r.stage.startChain(ctx, r.bar, chainSpec{brokers: 1, desktops: desktops})
	if err != nil {
		return err
	}
	defer c.close()
	t := c.clients()
	if err := r.warm(ctx, c, t); err != nil {
		return err
	}
	rate := r.o.Rate
	if rate == 0 {
		const part = 0.7 // of what it does at most
		if rate, err = r.find(ctx, "soak", t, c.meter(), searchStart); err != nil {
			return err
		}
		rate *= part
	}
	t.Rate, t.For, t.Poisson = rate, r.o.Soak, true
	v, err := r.load(ctx, "soak", t, c.meter())
	if err != nil {
		return err
	}
	r.keep(v)
	seen, err := r.stage.pg.SQL(ctx, c.database, `SELECT checkpoints_timed + checkpoints_req FROM pg_stat_bgwriter;
		SELECT COALESCE(sum(autovacuum_count + autoanalyze_count), 0) FROM pg_stat_user_tables`)
	if err != nil {
		return err
	}
	checkpoints, vacuums := twoLines(seen)
	r.report.add(
		row(fmt.Sprintf("login, new TLS connection each, postgres, %s", r.o.Soak), "logins/s", v.rate()).
			note("%s offered; %d failed, %d had to wait; %s checkpoints, %s autovacuums; p50 %s, p99 %s, slowest %s ms", number(rate), v.Failed, v.Waited,
				checkpoints, vacuums, number(v.Login.P50), number(v.Login.P99), number(v.Login.Max)),
		row("failed logins of them", "logins", float64(v.Failed+v.Busy)).atMost(0))
	return nil
}

// twoLines parts what psql prints for two questions.
func twoLines(text string) (first, second string) {
	first, second, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return first, strings.TrimSpace(second)
}
