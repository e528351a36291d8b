package broker_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// TestDetach: a broker that leaves serves nobody, its pending jobs stay its own, and it is removed when
// its heartbeats are missed; started again, it joins again.
func TestDetach(t *testing.T) {
	covers.Req(t, "LV1")
	t.Parallel()
	p := newPair(t, annaSetup(t))
	token := p.login(t)
	if _, err := p.a.AddJobs(t.Context(), broker.HeartbeatJob(1, broker.HeartbeatEvery), broker.NewJob{Kind: "x", For: 1}); err != nil {
		t.Fatal(err)
	}
	working := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.a.Detach(ctx, "eve", working); !errors.Is(err, context.Canceled) {
		t.Errorf("it left before its work had ended: %v", err)
	}
	idle := make(chan struct{})
	close(idle)
	if err := p.a.Detach(t.Context(), "eve", idle); err != nil {
		t.Fatal(err)
	}
	if got := p.a.refresh(t, token); got != broker.CodeStopped {
		t.Errorf("it goes on serving: %q", got)
	}
	if r := p.a.Login(t.Context(), login("anna", "p")); code(r.Refusal) != broker.CodeStopped {
		t.Errorf("it goes on signing in: %+v", r)
	}
	if p.a.Alive().Status != 503 || p.a.NotServing() == "" {
		t.Error("is_alive says 200")
	}
	if err := p.a.stop(); err != nil { // its end must not cancel its heartbeat job
		t.Fatal(err)
	}
	list, err := p.b.Brokers(t.Context())
	if err != nil || len(list) != 2 || list[0].Live || list[0].Status != broker.StatusRunning {
		t.Errorf("it is listed as %+v, %v", list, err)
	}
	jobs, err := p.b.Jobs(t.Context(), broker.JobFilter{Site: 1})
	if err != nil || len(jobs) != 2 || slices.ContainsFunc(jobs, func(j broker.Job) bool { return j.State != broker.JobPending || j.For != 1 }) {
		t.Errorf("its jobs: %+v, %v", jobs, err)
	}
	if _, err := p.b.RemoveBroker(t.Context(), 1, "eve"); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("removed before three misses: %v", err)
	}
	if got := p.b.refresh(t, token); got != "" {
		t.Errorf("its session does not go on: %q", got)
	}
}

// TestRunJobs: recurring jobs become due, cancelled ones recur again, heartbeats of others stay.
func TestRunJobs(t *testing.T) {
	t.Parallel()
	b := newCluster(t).start(1, nil)
	const every = broker.HeartbeatEvery
	added, err := b.AddJobs(t.Context(),
		broker.NewJob{Kind: "scan", Target: "a", Every: every, After: every}, broker.NewJob{Kind: "scan", Target: "b", Every: every, After: every},
		broker.NewJob{Kind: "scan", Target: "once", After: every}, broker.HeartbeatJob(7, every))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 3} {
		if _, err := b.CancelJob(t.Context(), added[i].ID, "eve"); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.RunJobs(t.Context(), "scan", "", "eve")
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, j := range list {
		got, err := b.Jobs(t.Context(), broker.JobFilter{ID: j.ID})
		if err != nil || len(got) != 1 || got[0].State != broker.JobPending || got[0].Every != every || got[0].RunAt.After(got[0].RunAt.Add(0)) {
			t.Errorf("%s: %+v, %v", j.Target, got, err)
		}
		if j.Target == "a" && j.ID != added[0].ID {
			t.Error("a second job was made of the one that stands")
		}
	}
	claimed, err := b.store.ClaimJobs(t.Context(), broker.JobClaim{Member: b.Member(), Kinds: []string{"scan"}, Max: 10, Lease: every})
	if err != nil {
		t.Fatal(err)
	}
	if claimed.Status == broker.StatusRunning && len(claimed.Jobs) != 2 {
		t.Errorf("due now: %+v", claimed)
	}
	for kind, target := range map[string]string{"nothing": "", "scan": "c", broker.KindHeartbeat: ""} {
		if list, err := b.RunJobs(t.Context(), kind, target, "eve"); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("%s %s: %+v, %v", kind, target, list, err)
		}
	}
}
