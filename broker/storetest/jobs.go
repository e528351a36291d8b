package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
)

const (
	lease = time.Minute
	short = time.Millisecond // of a lease that is lost
)

// member joins as a broker that runs jobs: its heartbeat job is due in an hour.
func (b *bench) member(site int) broker.Membership {
	b.t.Helper()
	m := must(b.Join(ctx(b.t), node(site, "broker-"+strconv.Itoa(site)), cluster(1), live))(b.t)
	beat := broker.HeartbeatJob(site, time.Hour)
	beat.After = time.Hour
	b.add(beat)
	return m
}

// add puts jobs into the queue and returns their ids.
func (b *bench) add(jobs ...broker.NewJob) []string {
	b.t.Helper()
	var ids []string
	for _, a := range must(b.AddJobs(ctx(b.t), broker.WithIDs(jobs)))(b.t) {
		ids = append(ids, a.ID)
	}
	return ids
}

// claim asks for work of the kinds that tests use.
func (b *bench) claim(m broker.Membership, n int, lease time.Duration) []broker.Job {
	b.t.Helper()
	q := broker.JobClaim{Member: m, Kinds: []string{"work", "beat", broker.KindHeartbeat}, Max: n, Lease: lease}
	return must(b.ClaimJobs(ctx(b.t), q))(b.t).Jobs
}

// end ends runs the same way, all of which must be the member's.
func (b *bench) end(m broker.Membership, how broker.JobEnd, jobs ...broker.Job) {
	b.t.Helper()
	var ends []broker.JobEnd
	for _, j := range jobs {
		how.JobRun = broker.JobRun{ID: j.ID, Run: j.Run}
		ends = append(ends, how)
	}
	if lost := must(b.EndJobs(ctx(b.t), m, ends))(b.t); len(lost) != 0 {
		b.t.Fatalf("runs were lost: %v", lost)
	}
}

// job reads one job.
func (b *bench) job(id string) broker.Job {
	b.t.Helper()
	list := must(b.Jobs(ctx(b.t), broker.JobFilter{ID: id}))(b.t)
	if len(list) != 1 {
		b.t.Fatalf("job %s is there %d times", id, len(list))
	}
	return list[0]
}

// eventually waits until the database's clock has moved on far enough.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func testJobLife(t *testing.T, b *bench) {
	m := b.member(1)
	id := b.add(broker.NewJob{Kind: "work", Target: "x", Payload: `{"a":1}`})[0]
	j := b.job(id)
	if j.State != broker.JobPending || j.Kind != "work" || j.Target != "x" || j.Payload != `{"a":1}` || j.RunAt.IsZero() || !j.Started.IsZero() || j.RunBy != 0 {
		t.Errorf("pending: %+v", j)
	}
	got := b.claim(m, 10, lease)
	if len(got) != 1 || got[0].ID != id {
		t.Fatalf("claimed %+v", got)
	}
	if again := b.claim(m, 10, lease); len(again) != 0 {
		t.Errorf("a running job was claimed again: %+v", again)
	}
	j = b.job(id)
	if j.State != broker.JobRunning || j.RunBy != 1 || j.Run != 1 || j.Attempts != 1 || j.Started.IsZero() || !j.LeaseUntil.After(j.Started) || j.Took() != 0 {
		t.Errorf("running: %+v", j)
	}
	b.end(m, broker.JobEnd{How: broker.JobFinished, Result: "done"}, got...)
	j = b.job(id)
	if j.State != broker.JobFinished || j.Result != "done" || j.Ended.IsZero() || j.Succeeded != j.Ended || !j.LeaseUntil.IsZero() || j.Took() != j.Ended.Sub(j.Started) {
		t.Errorf("finished: %+v", j)
	}
	fails := b.add(broker.NewJob{Kind: "work"})[0]
	b.end(m, broker.JobEnd{How: broker.JobAborted, Error: "broken"}, b.claim(m, 10, lease)...)
	if j := b.job(fails); j.State != broker.JobAborted || j.Error != "broken" || !j.Succeeded.IsZero() {
		t.Errorf("aborted: %+v", j)
	}
	if _, err := b.EndJobs(ctx(t), m, []broker.JobEnd{{JobRun: broker.JobRun{ID: id, Run: 1}, How: broker.JobRunning}}); err == nil {
		t.Error("a run ended as running")
	}
}

func testJobChoice(t *testing.T, b *bench) {
	one, two := b.member(1), b.member(2)
	b.add(broker.NewJob{Kind: "work", Target: "later", After: time.Hour}, broker.NewJob{Kind: "unknown", Target: "unknown"})
	for _, j := range []broker.NewJob{{Target: "a"}, {Target: "b", For: 2}, {Target: "c", For: 1}, {Target: "d"}} {
		j.Kind = "work"
		b.add(j)
		before := b.row(broker.LogSetup) // the next job is due later by the database's clock
		eventually(t, "a moment passes", func() bool {
			before = b.row(broker.LogSetup)
			if err := b.AppendLog(ctx(t), before); err != nil {
				t.Fatal(err)
			}
			all := must(b.Jobs(ctx(t), broker.JobFilter{Kinds: []string{"work"}, Target: j.Target}))(t)
			return must(b.LogByRef(ctx(t), before.Ref))(t).At.After(all[0].RunAt)
		})
	}
	targets := func(jobs []broker.Job) string {
		var s []string
		for _, j := range jobs {
			s = append(s, j.Target)
		}
		return strings.Join(s, "")
	}
	if got := targets(b.claim(one, 2, lease)); got != "ac" {
		t.Errorf("broker 1 was given %q, want the two that were due first and that it may run", got)
	}
	if got := targets(b.claim(two, 10, lease)); got != "bd" {
		t.Errorf("broker 2 was given %q", got)
	}
	if got := targets(b.claim(one, 10, lease)); got != "" {
		t.Errorf("broker 1 was given %q, which is not due, not its own or of no kind that it knows", got)
	}
}

func testJobRecurring(t *testing.T, b *bench) {
	m := b.member(1)
	job := broker.NewJob{Kind: "work", Target: "x", Every: time.Hour}
	id := b.add(job)[0]
	again := job
	again.Payload, again.Every, again.After = "new", 2*time.Hour, time.Hour
	if added := must(b.AddJobs(ctx(t), broker.WithIDs([]broker.NewJob{again})))(t); added[0] != (broker.AddedJob{ID: id}) {
		t.Errorf("a second job of one kind and target: %+v", added)
	}
	first := b.job(id)
	if first.Payload != "new" || first.Every != 2*time.Hour {
		t.Errorf("adding it again did not bring it up to date: %+v", first)
	}
	got := b.claim(m, 10, lease)
	if len(got) != 1 {
		t.Fatalf("adding it again has postponed it: %+v", got)
	}
	b.end(m, broker.JobEnd{How: broker.JobFinished, Result: "ok"}, got...)
	j := b.job(id)
	if j.State != broker.JobPending || j.Result != "ok" || j.RunBy != 1 || j.Succeeded.IsZero() || j.Attempts != 0 || !j.RunAt.Equal(first.RunAt.Add(2*time.Hour)) {
		t.Errorf("after its run: %+v, scheduled before: %v", j, first.RunAt)
	}
	b.add(job) // due at once
	b.end(m, broker.JobEnd{How: broker.JobAborted, Error: "broken"}, b.claim(m, 10, lease)...)
	if j := b.job(id); j.State != broker.JobPending || j.Error != "broken" {
		t.Errorf("after a failed run: %+v", j)
	}
	kept := b.job(id + "/2")
	if kept.State != broker.JobAborted || kept.Error != "broken" || kept.RunBy != 1 || kept.Kind != "work" || kept.Target != "x" {
		t.Errorf("trace of the failed run: %+v", kept)
	}
	if state, err := b.CancelJob(ctx(t), id, "anna"); err != nil || state != broker.JobCancelled {
		t.Errorf("cancel: %q, %v", state, err)
	}
	if added := must(b.AddJobs(ctx(t), broker.WithIDs([]broker.NewJob{job})))(t); !added[0].Fresh {
		t.Error("a cancelled job stands in the way of a new one")
	}
}

func testJobUnique(t *testing.T, b *bench) {
	m := b.member(1)
	job := broker.NewJob{Kind: "work", Target: "x", Unique: true}
	id := b.add(job)[0]
	if second := b.add(job)[0]; second != id {
		t.Error("two jobs of one target at once")
	}
	got := b.claim(m, 10, lease)
	if second := b.add(job)[0]; second != id {
		t.Error("two jobs of one target at once, one of them running")
	}
	b.end(m, broker.JobEnd{How: broker.JobFinished}, got...)
	if second := b.add(job)[0]; second == id {
		t.Error("a finished job stands in the way of a new one")
	}
}

func testJobCancel(t *testing.T, b *bench) {
	m := b.member(1)
	if _, err := b.CancelJob(ctx(t), id(), "anna"); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("an unknown job was cancelled: %v", err)
	}
	cancel := func(id string, want broker.JobState) {
		t.Helper()
		if state, err := b.CancelJob(ctx(t), id, "anna"); err != nil || state != want {
			t.Errorf("cancel: %q, %v; want %q", state, err, want)
		}
	}
	waiting := b.add(broker.NewJob{Kind: "work"})[0]
	cancel(waiting, broker.JobCancelled)
	cancel(waiting, broker.JobCancelled)
	if j := b.job(waiting); j.State != broker.JobCancelled || j.Error != "cancelled by anna" || j.Ended.IsZero() {
		t.Errorf("cancelled while pending: %+v", j)
	}
	for i, c := range []struct {
		every time.Duration
		how   broker.JobState
		want  broker.JobState
	}{
		{0, broker.JobCancelled, broker.JobCancelled},
		{0, broker.JobFinished, broker.JobFinished}, // it was faster
		{0, broker.JobPending, broker.JobCancelled},
		{0, broker.JobAborted, broker.JobAborted},
		{time.Hour, broker.JobCancelled, broker.JobCancelled},
		{time.Hour, broker.JobFinished, broker.JobCancelled},
		{time.Hour, broker.JobAborted, broker.JobCancelled},
	} {
		id := b.add(broker.NewJob{Kind: "work", Target: fmt.Sprint(i), Every: c.every})[0]
		got := b.claim(m, 1, lease)
		cancel(id, broker.JobRunning)
		if !b.job(id).Cancelling {
			t.Error("nobody can see that it is being cancelled")
		}
		run := broker.JobRun{ID: id, Run: got[0].Run}
		if r := must(b.RenewJobs(ctx(t), m, []broker.JobRun{run}, lease))(t); len(r.Lost) != 0 || !slices.Equal(r.Cancel, []broker.JobRun{run}) {
			t.Errorf("the broker is not told: %+v", r)
		}
		b.end(m, broker.JobEnd{How: c.how}, got...)
		if j := b.job(id); j.State != c.want || j.Cancelling {
			t.Errorf("%v ended as %s: %+v, want %s", c.every, c.how, j, c.want)
		}
		if c.want != broker.JobCancelled {
			if _, err := b.CancelJob(ctx(t), id, "anna"); !errors.Is(err, broker.ErrConflict) {
				t.Errorf("a job that is %s was cancelled: %v", c.want, err)
			}
		}
	}
	gone := b.add(broker.NewJob{Kind: "work", Target: "gone"})[0]
	b.claim(m, 1, short)
	cancel(gone, broker.JobRunning)
	eventually(t, "it is cancelled although its broker is silent", func() bool {
		b.claim(m, 1, lease)
		return b.job(gone).State == broker.JobCancelled
	})
}

func testJobAgain(t *testing.T, b *bench) {
	m := b.member(1)
	id := b.add(broker.NewJob{Kind: "work"})[0]
	b.end(m, broker.JobEnd{How: broker.JobPending, After: time.Hour, Result: "not yet"}, b.claim(m, 1, lease)...)
	j := b.job(id)
	if j.State != broker.JobPending || j.Result != "not yet" || j.Attempts != 0 || j.RunAt.Sub(j.Ended) != time.Hour {
		t.Errorf("went back as %+v", j)
	}
	now := b.add(broker.NewJob{Kind: "work"})[0]
	b.end(m, broker.JobEnd{How: broker.JobPending}, b.claim(m, 1, lease)...)
	if got := b.claim(m, 10, lease); len(got) != 1 || got[0].ID != now || got[0].Run != 2 {
		t.Errorf("a job that was given back is not due: %+v", got)
	}
}
