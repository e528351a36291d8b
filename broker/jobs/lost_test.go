package jobs

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
)

// gate is a store that can be away, or frozen as by SIGSTOP.
type gate struct {
	broker.Store
	away atomic.Bool
}

func (g *gate) err() error {
	if g.away.Load() {
		return broker.ErrUnavailable
	}
	return nil
}

func (g *gate) ClaimJobs(ctx context.Context, q broker.JobClaim) (broker.ClaimedJobs, error) {
	if err := g.err(); err != nil {
		return broker.ClaimedJobs{}, err
	}
	return g.Store.ClaimJobs(ctx, q)
}

func (g *gate) RenewJobs(ctx context.Context, m broker.Membership, r []broker.JobRun, lease time.Duration) (broker.JobRenewal, error) {
	if err := g.err(); err != nil {
		return broker.JobRenewal{}, err
	}
	return g.Store.RenewJobs(ctx, m, r, lease)
}

func (g *gate) EndJobs(ctx context.Context, m broker.Membership, e []broker.JobEnd) ([]broker.JobRun, error) {
	if err := g.err(); err != nil {
		return nil, err
	}
	return g.Store.EndJobs(ctx, m, e)
}

// TestCutOff: a broker that loses the database loses its job to another one, but not before it has
// stopped the job itself.
func TestCutOff(t *testing.T) {
	c := newCluster(t)
	var running, most atomic.Int32
	work := func(ctx context.Context, j broker.Job) (string, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		if j.Run == 1 {
			<-ctx.Done()
			return "", ctx.Err()
		}
		return "done", nil
	}
	var g *gate
	one := c.start(1, work, func(o *Options) {
		g = &gate{Store: o.Store.(broker.Store)}
		o.Store, o.Lease = g, time.Second
	})
	id := one.add(t, broker.NewJob{})
	first := one.awaitState(t, id, broker.JobRunning)
	eventually(t, "the lease is renewed for longer than it lasts", func() bool {
		return one.job(t, id).LeaseUntil.After(first.LeaseUntil.Add(time.Second))
	})
	if j := one.job(t, id); j.Run != 1 || j.State != broker.JobRunning {
		t.Fatalf("a lease was not renewed: %+v", j)
	}
	two := c.start(2, work, nil)
	g.away.Store(true)
	j := two.awaitState(t, id, broker.JobFinished)
	if j.RunBy != 2 || j.Run != 2 || most.Load() != 1 {
		t.Errorf("second run: %+v; %d at once", j, most.Load())
	}
	g.away.Store(false)
	eventually(t, "the first broker knows", func() bool { return len(one.current()) == 0 })
	if j := two.job(t, id); j.State != broker.JobFinished || j.RunBy != 2 {
		t.Errorf("the first broker has changed it: %+v", j)
	}
	if again := one.awaitState(t, one.add(t, broker.NewJob{For: 1}), broker.JobRunning); again.RunBy != 1 {
		t.Errorf("the first broker does not go on: %+v", again)
	}
}

// TestEndIsRepeated: the store is away when a run ends, and the end is recorded when it is back.
func TestEndIsRepeated(t *testing.T) {
	c := newCluster(t)
	goOn := make(chan struct{})
	var g *gate
	w := c.start(1, func(context.Context, broker.Job) (string, error) { <-goOn; return "done", nil }, func(o *Options) {
		g = &gate{Store: o.Store.(broker.Store)}
		o.Store = g
	})
	id := w.add(t, broker.NewJob{})
	w.awaitState(t, id, broker.JobRunning)
	g.away.Store(true)
	close(goOn)
	eventually(t, "the worker has noticed", w.Worker.away.Load)
	g.away.Store(false)
	if j := w.awaitState(t, id, broker.JobFinished); j.Run != 1 || j.Result != "done" {
		t.Errorf("%+v", j)
	}
}

// TestRemovedAndBack: a removed broker loses what it runs; when it has joined again it works on.
func TestRemovedAndBack(t *testing.T) {
	c := newCluster(t)
	var member atomic.Pointer[broker.Membership]
	lost := make(chan struct{})
	w := c.start(1, func(ctx context.Context, j broker.Job) (string, error) {
		if j.Run > 1 || j.Target == "after" {
			return "done", nil
		}
		<-ctx.Done()
		if errors.Is(context.Cause(ctx), errLost) {
			close(lost)
		}
		return "", ctx.Err()
	}, func(o *Options) {
		m := o.Member()
		member.Store(&m)
		o.Member = func() broker.Membership { return *member.Load() }
		o.Lease = 2 * time.Second
	})
	id := w.add(t, broker.NewJob{For: 1})
	w.awaitState(t, id, broker.JobRunning)
	beats, err := w.store.Jobs(t.Context(), broker.JobFilter{Kinds: []string{broker.KindHeartbeat}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "its heartbeat job is cancelled", func() bool {
		state, err := w.store.CancelJob(t.Context(), beats[0].ID, "anna")
		return err == nil && state == broker.JobCancelled
	})
	if _, err := w.store.RemoveBroker(t.Context(), 1, broker.LogRow{ID: "row"}); err != nil {
		t.Fatal(err)
	}
	<-lost
	again, err := join(t.Context(), w.store, 1)
	if err != nil {
		t.Fatal(err)
	}
	member.Store(&again)
	if j := w.awaitState(t, id, broker.JobFinished); j.Run != 2 || j.For != 0 {
		t.Errorf("the lost run: %+v", j)
	}
	w.awaitState(t, w.add(t, broker.NewJob{Target: "after"}), broker.JobFinished)
	list, err := w.store.Brokers(t.Context())
	if err != nil || len(list) != 1 || list[0].Status != broker.StatusRunning {
		t.Errorf("the cluster: %+v, %v", list, err)
	}
}
