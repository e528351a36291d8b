package logins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// clientsPerBroker keep each broker at its share.
const clientsPerBroker = 16

// usedShare is the part of their shares that brokers use when these are the limit.
const usedShare = 0.85

// linear measures clusters of brokers that are each held to the same small share of a core.
func (r *run) linear(ctx context.Context) error {
	base := 0.0 // what one broker does
	for _, n := range r.o.Brokers {
		v, err := r.cluster(ctx, n)
		if err != nil {
			return fmt.Errorf("%d brokers: %w", n, err)
		}
		rate := v.rate()
		name := fmt.Sprintf("brokers at %.0f %% of a core each: %d", 100*r.o.Share, n)
		if v.Failed+v.Busy > 0 {
			r.report.add(row(name+": failed", "logins", float64(v.Failed+v.Busy)).atMost(0).note("of %d: %v", v.Offered, v.Errors))
		}
		if base == 0 {
			base = rate / float64(n)
			r.report.add(row(name, "logins/s", rate).note("%s", v.shares(n, r.o.Share)))
			continue
		}
		scaled := row(fmt.Sprintf("%s, beside %d times one", name, n), "x", rate/base/float64(n)).
			note("%s logins/s; %s", number(rate), v.shares(n, r.o.Share))
		if v.CPU.Used[whoBrokers] >= usedShare*r.o.Share*float64(n) && !v.CPU.full() {
			scaled = scaled.atLeast(minLinear) // the brokers are the limit, so more of them must do more
		}
		r.report.add(scaled)
	}
	return nil
}

// shares says who was the limit of a cluster.
func (v *Measured) shares(n int, share float64) string {
	used := v.CPU.Used[whoBrokers] / (share * float64(n))
	if used >= usedShare && !v.CPU.full() {
		return fmt.Sprintf("the limit: the brokers (%.0f %% of their shares)", 100*used)
	}
	return fmt.Sprintf("the brokers use %.0f %% of their shares; the limit: %s", 100*used, v.CPU.limit())
}

// settleFor is how long brokers have all the CPU that they want, for what they do once after their start.
const settleFor = 15 * time.Second

// settle lets them do it, with a few logins.
func (r *run) settle(ctx context.Context, c *chain, t task) error {
	t.Rate, t.For = warmUpRate, settleFor
	if r.o.Quick {
		t.For = time.Second
	}
	v, err := r.load(ctx, "settling", t, c.meter())
	if err == nil && v.OK == 0 {
		err = fmt.Errorf("no login of %d succeeded: %v", v.Offered, v.Errors)
	}
	return err
}

// cluster measures n brokers.
func (r *run) cluster(ctx context.Context, n int) (v *Measured, err error) {
	spec := chainSpec{brokers: n, desktops: desktops, spread: true, env: []string{"GOMAXPROCS=1"}}
	c, err := r.stage.startChain(ctx, r.bar, spec)
	if err != nil {
		return nil, err
	}
	var shares []*share
	defer func() { // a cgroup can go once its process has
		c.close()
		for _, s := range shares {
			err = errors.Join(err, s.remove())
		}
	}()
	t := c.clients()
	t.Kept = clientsPerBroker * n
	if err := r.settle(ctx, c, t); err != nil {
		return nil, err
	}
	for i, p := range c.brokers {
		s, err := newShare(fmt.Sprintf("switchpoint-bench-%d-%d", os.Getpid(), i), r.o.Share)
		if err != nil {
			return nil, err
		}
		shares = append(shares, s)
		if err := s.hold(p.pid()); err != nil {
			return nil, err
		}
	}
	t.Clients, t.For = clientsPerBroker*n, 3*r.o.Probe
	if r.o.Quick {
		t.For = time.Second
	}
	// The first moments open the balancer's connections to brokers that have little CPU for that.
	opening := t
	opening.For = max(time.Second, t.For/3)
	if _, err := r.load(ctx, "opening connections", opening, c.meter()); err != nil {
		return nil, err
	}
	if v, err = r.load(ctx, fmt.Sprintf("%d brokers", n), t, c.meter()); err != nil {
		return nil, err
	}
	return r.keep(v), nil
}
