package jobs

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

func TestOutcome(t *testing.T) {
	key := broker.JobRun{ID: "x", Run: 3}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		err, cause error
		want       broker.JobEnd
	}{
		"done":                 {nil, nil, broker.JobEnd{How: broker.JobFinished, Result: "r"}},
		"done though lost":     {nil, errLost, broker.JobEnd{How: broker.JobFinished, Result: "r"}},
		"failed":               {broken, nil, broker.JobEnd{How: broker.JobAborted, Result: "r", Error: "broken"}},
		"cancelled":            {broken, errCancelled, broker.JobEnd{How: broker.JobCancelled, Result: "r"}},
		"lost":                 {broken, errLost, broker.JobEnd{How: broker.JobPending, Result: "not finished: the lease has run out"}},
		"stopped":              {broken, errStopping, broker.JobEnd{How: broker.JobPending, Result: "not finished: the broker stops"}},
		"again":                {&Again{After: time.Second, Why: "not yet"}, nil, broker.JobEnd{How: broker.JobPending, After: time.Second, Result: "not yet"}},
		"again, in the past":   {&Again{After: -time.Second}, nil, broker.JobEnd{How: broker.JobPending}},
		"again while stopping": {&Again{After: time.Second, Why: "not yet"}, errStopping, broker.JobEnd{How: broker.JobPending, After: time.Second, Result: "not yet"}},
	} {
		c.want.JobRun = key
		if got := outcome(key, "r", c.err, c.cause); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if got := clip("a\nb\x00\xff" + strings.Repeat("é", maxText)); len(got) > maxText || !strings.HasPrefix(got, "a b ?é") {
		t.Errorf("clipped to %d bytes: %q...", len(got), got[:12])
	}
}

// TestEnds runs jobs that end in every way.
func TestEnds(t *testing.T) {
	covers.Req(t, "JQ1")
	c := newCluster(t)
	reg := prometheus.NewPedanticRegistry()
	var tries atomic.Int32
	w := c.start(1, func(ctx context.Context, j broker.Job) (string, error) {
		switch j.Target {
		case "fails":
			return "", errors.New("broken")
		case "panics":
			panic("oh")
		case "waits":
			if tries.Add(1) < 3 {
				return "", &Again{After: time.Millisecond, Why: "not yet"}
			}
		case "hangs":
			<-ctx.Done()
			return "", ctx.Err()
		}
		return "done " + j.Payload, nil
	}, func(o *Options) { o.Metrics = reg })
	ids := make(map[string]string)
	for _, target := range []string{"works", "fails", "panics", "waits", "hangs"} {
		ids[target] = w.add(t, broker.NewJob{Target: target, Payload: "p"})
	}
	every := w.add(t, broker.NewJob{Target: "every", Every: time.Hour})
	for target, want := range map[string]broker.JobState{"works": broker.JobFinished, "fails": broker.JobAborted, "panics": broker.JobAborted, "waits": broker.JobFinished} {
		j := w.awaitState(t, ids[target], want)
		if j.RunBy != 1 || j.Ended.Before(j.Started) || want == broker.JobFinished && j.Result != "done p" || want == broker.JobAborted && j.Error == "" {
			t.Errorf("%s: %+v", target, j)
		}
	}
	eventually(t, "the recurring job waits for its next turn", func() bool {
		j := w.job(t, every)
		return j.State == broker.JobPending && j.Result == "done " && j.RunAt.After(j.Ended)
	})
	w.awaitState(t, ids["hangs"], broker.JobRunning)
	if _, err := w.store.CancelJob(t.Context(), ids["hangs"], "anna"); err != nil {
		t.Fatal(err)
	}
	w.renewSoon()
	if j := w.awaitState(t, ids["hangs"], broker.JobCancelled); j.Error != "cancelled by anna" {
		t.Errorf("cancelled: %+v", j)
	}
	w.count(t.Context())
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if n := testutil.ToFloat64(w.metrics.runs.WithLabelValues("work", "pending")); n != 2 {
		t.Errorf("%v runs went back", n)
	}
}

// TestOwnJobs: a broker that works has its heartbeat, the cluster its upkeep.
func TestOwnJobs(t *testing.T) {
	covers.Req(t, "CL6")
	c := newCluster(t)
	idle := func(context.Context, broker.Job) (string, error) { return "", nil }
	one := c.start(1, idle, func(o *Options) {
		o.HeartbeatEvery = 0 // the default
		o.Check = func(context.Context) (string, error) { return "serves logins", nil }
	})
	two := c.start(2, idle, nil)
	eventually(t, "all have run", func() bool {
		list, err := one.store.Jobs(t.Context(), broker.JobFilter{})
		if err != nil {
			t.Fatal(err)
		}
		kinds := make(map[string]int)
		for _, j := range list {
			if !j.Succeeded.IsZero() && j.State == broker.JobPending && j.Every > 0 && j.Error == "" {
				kinds[j.Kind]++
			}
		}
		return len(list) == 5 && kinds[broker.KindHeartbeat] == 2 && kinds[KindPurge] == 1 && kinds[KindLeaseMaintenance] == 1 && kinds[KindPoolStatistics] == 1
	})
	list, err := one.store.Brokers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if n.Status != broker.StatusRunning || n.LastHeartbeat.IsZero() || !strings.Contains(n.Report, "load average 0.00") {
			t.Errorf("broker %+v", n)
		}
	}
	if !strings.HasPrefix(list[0].Report, "serves logins, ") {
		t.Errorf("report %q", list[0].Report)
	}
	if n := list[0]; testutil.ToFloat64(one.metrics.heartbeat) == 0 || n.NextHeartbeat.Sub(n.LastHeartbeat).Round(time.Minute) != 5*time.Minute {
		t.Errorf("the next heartbeat of %+v is not in 5 minutes, or there is no metric", n)
	}
	// Cancelling its heartbeat stops a broker, and the other one takes its work.
	beats, err := one.store.Jobs(t.Context(), broker.JobFilter{Kinds: []string{broker.KindHeartbeat}, Target: "1"})
	if err != nil || len(beats) != 1 || beats[0].RunBy != 1 {
		t.Fatal(beats, err)
	}
	if _, err := one.store.CancelJob(t.Context(), beats[0].ID, "anna"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if j := one.awaitState(t, two.add(t, broker.NewJob{}), broker.JobFinished); j.RunBy != 2 {
			t.Errorf("the stopped broker has run %+v", j)
		}
	}
	stays := two.add(t, broker.NewJob{For: 1})
	if _, err := two.store.AddJobs(t.Context(), broker.WithIDs([]broker.NewJob{broker.HeartbeatJob(1, time.Hour)})); err != nil {
		t.Fatal(err)
	}
	if j := one.awaitState(t, stays, broker.JobFinished); j.RunBy != 1 {
		t.Errorf("the broker that was started again has not run its job: %+v", j)
	}
}

// TestBusyWithLogins: the broker that signs users in leaves the other jobs to the one that does not,
// but for one at a time.
func TestBusyWithLogins(t *testing.T) {
	covers.Req(t, "CL2")
	c := newCluster(t)
	const jobs = 6 // fewer than any machine's limit
	hold := make(chan struct{})
	var running atomic.Int32
	work := func(context.Context, broker.Job) (string, error) {
		running.Add(1)
		<-hold
		return "", nil
	}
	busy := c.start(1, work, func(o *Options) { o.Logins = func() float64 { return 1 } })
	c.start(2, work, nil)
	var ids []string
	for range jobs {
		ids = append(ids, busy.add(t, broker.NewJob{}))
	}
	eventually(t, "all run at once", func() bool { return running.Load() == jobs })
	by := make(map[int]int)
	for _, id := range ids {
		by[busy.job(t, id).RunBy]++
	}
	if by[1] > 1 || by[2] < jobs-1 {
		t.Errorf("jobs by site id: %v", by)
	}
	close(hold)
	for _, id := range ids {
		busy.awaitState(t, id, broker.JobFinished)
	}
	list, err := busy.store.Brokers(t.Context())
	if err != nil || list[0].LastHeartbeat.IsZero() {
		t.Errorf("the busy broker had no time for its heartbeat: %+v, %v", list, err)
	}
}

// TestHint: a job that was added here does not wait for the next poll.
func TestHint(t *testing.T) {
	c := newCluster(t)
	added := make(chan struct{}, 1)
	w := c.start(1, func(context.Context, broker.Job) (string, error) { return "", nil }, func(o *Options) {
		o.Poll, o.Added = time.Hour, added
	})
	eventually(t, "it has polled once", func() bool {
		list, err := w.store.Brokers(t.Context())
		return err == nil && !list[0].LastHeartbeat.IsZero()
	})
	id := w.add(t, broker.NewJob{})
	added <- struct{}{}
	w.awaitState(t, id, broker.JobFinished)
}

// TestDrain: what is in flight may end, what takes too long goes back.
func TestDrain(t *testing.T) {
	c := newCluster(t)
	goOn := make(chan struct{})
	w := c.start(1, func(ctx context.Context, j broker.Job) (string, error) {
		if j.Target == "short" {
			<-goOn
			return "done", nil
		}
		<-ctx.Done()
		return "", ctx.Err()
	}, func(o *Options) { o.Drain = 300 * time.Millisecond })
	short, long := w.add(t, broker.NewJob{Target: "short"}), w.add(t, broker.NewJob{Target: "long"})
	w.awaitState(t, short, broker.JobRunning)
	w.awaitState(t, long, broker.JobRunning)
	var wg sync.WaitGroup
	wg.Go(w.stop)
	close(goOn)
	wg.Wait()
	if j := w.job(t, short); j.State != broker.JobFinished {
		t.Errorf("what could end: %+v", j)
	}
	if j := w.job(t, long); j.State != broker.JobPending || j.Result != "not finished: the broker stops" || j.RunAt.After(time.Now()) {
		t.Errorf("what could not: %+v", j)
	}
}

// TestPurge deletes ended jobs when they have been kept for long enough.
func TestPurge(t *testing.T) {
	covers.Req(t, "JQ3")
	c := newCluster(t)
	keep := func(o *Options) { o.JobRetention = time.Millisecond }
	w := c.start(1, func(context.Context, broker.Job) (string, error) { return "", nil }, keep)
	id := w.add(t, broker.NewJob{})
	eventually(t, "it has been run and deleted", func() bool {
		if _, err := w.store.AddJobs(t.Context(), broker.WithIDs([]broker.NewJob{{Kind: KindPurge, Every: time.Hour}})); err != nil {
			t.Fatal(err)
		}
		list, err := w.store.Jobs(t.Context(), broker.JobFilter{ID: id})
		return err == nil && len(list) == 0
	})
	kept, err := New(options(w.store, w.member))
	if err != nil || kept.o.JobRetention != 48*time.Hour {
		t.Errorf("by default ended jobs are kept for %v, %v", kept.o.JobRetention, err)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a worker without a store")
	}
	w, err := New(options(newCluster(t).store(), broker.Membership{}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("two handlers for one kind")
		}
	}()
	w.Handle(KindPurge, nil)
}
