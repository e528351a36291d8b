package storetest

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

// testJobLost lets a broker fall silent: the others get its job, and it is told.
func testJobLost(t *testing.T, b *bench) {
	one, two := b.member(1), b.member(2)
	id := b.add(broker.NewJob{Kind: "work", Target: "x", Payload: "p"})[0]
	lost := b.claim(one, 1, short)
	var got []broker.Job
	eventually(t, "the job is taken back", func() bool { got = b.claim(two, 1, lease); return len(got) == 1 })
	if got[0].ID != id || got[0].Run != 2 || got[0].Attempts != 2 || got[0].RunBy != 2 || got[0].Payload != "p" {
		t.Errorf("second run: %+v", got[0])
	}
	if kept := b.job(id + "/1"); kept.State != broker.JobAborted || kept.RunBy != 1 || kept.Error == "" || kept.Ended.IsZero() {
		t.Errorf("the lost run: %+v", kept)
	}
	run := broker.JobRun{ID: id, Run: lost[0].Run}
	if r := must(b.RenewJobs(ctx(t), one, []broker.JobRun{run}, lease))(t); !slices.Equal(r.Lost, []broker.JobRun{run}) {
		t.Errorf("the silent broker renewed a lost run: %+v", r)
	}
	if l := must(b.EndJobs(ctx(t), one, []broker.JobEnd{{JobRun: run, How: broker.JobFinished}}))(t); !slices.Equal(l, []broker.JobRun{run}) {
		t.Errorf("the silent broker ended a lost run: %v", l)
	}
	if j := b.job(id); j.State != broker.JobRunning || j.RunBy != 2 {
		t.Errorf("the new run was touched: %+v", j)
	}
	b.end(two, broker.JobEnd{How: broker.JobFinished}, got...)

	// Nobody has taken it back: the end still counts, and so does a renewal.
	b.add(broker.NewJob{Kind: "work"})
	slow := b.claim(one, 1, short)
	run = broker.JobRun{ID: slow[0].ID, Run: slow[0].Run}
	if r := must(b.RenewJobs(ctx(t), one, []broker.JobRun{run}, lease))(t); len(r.Lost) != 0 {
		t.Errorf("renewal: %+v", r)
	}
	if more := b.claim(two, 1, lease); len(more) != 0 {
		t.Errorf("a renewed run was taken back: %+v", more)
	}
	b.end(one, broker.JobEnd{How: broker.JobFinished}, slow...)
}

// testJobLostOften: a job that kills its brokers does not kill them all.
func testJobLostOften(t *testing.T, b *bench) {
	m := b.member(1)
	once := b.add(broker.NewJob{Kind: "work"})[0]
	every := b.add(broker.NewJob{Kind: "work", Every: time.Hour})[0]
	eventually(t, "both have been lost often enough", func() bool {
		b.claim(m, 2, short)
		return b.job(once).State == broker.JobAborted && b.job(every).Run >= broker.MaxAttempts && b.job(every).State == broker.JobPending && b.job(every).Attempts == 0
	})
	if j := b.job(once); j.Run != broker.MaxAttempts || j.Error == "" {
		t.Errorf("the job that runs once: %+v", j)
	}
	if j := b.job(every); j.Run != broker.MaxAttempts || time.Until(j.RunAt) < time.Minute {
		t.Errorf("the recurring job: %+v", j)
	}
	if n := len(must(b.Jobs(ctx(t), broker.JobFilter{States: []broker.JobState{broker.JobAborted}}))(t)); n != 2*broker.MaxAttempts {
		t.Errorf("%d aborted rows", n)
	}
}

// testJobFenced: what a process has claimed is gone as soon as another one has its place.
func testJobFenced(t *testing.T, b *bench) {
	first := b.member(1)
	id := b.add(broker.NewJob{Kind: "work"})[0]
	got := b.claim(first, 1, lease)
	second := must(b.handle().Join(ctx(t), node(1, "broker-1"), cluster(1), live))(t)
	run := broker.JobRun{ID: id, Run: got[0].Run}
	_, claim := b.ClaimJobs(ctx(t), broker.JobClaim{Member: first, Kinds: []string{"work"}, Max: 1, Lease: lease})
	_, renew := b.RenewJobs(ctx(t), first, []broker.JobRun{run}, lease)
	_, end := b.EndJobs(ctx(t), first, []broker.JobEnd{{JobRun: run, How: broker.JobFinished}})
	for call, err := range map[string]error{"claim": claim, "renew": renew, "end": end, "report": b.RecordHeartbeat(ctx(t), first, "x")} {
		if !errors.Is(err, broker.ErrFenced) {
			t.Errorf("%s by the process that was replaced: %v", call, err)
		}
	}
	if j := b.job(id); j.State != broker.JobRunning {
		t.Errorf("it changed the job: %+v", j)
	}
	if more := b.claim(second, 1, lease); len(more) != 0 {
		t.Errorf("the lease of the replaced process was not waited for: %+v", more)
	}
}

// testJobsAtOnce lets two brokers claim, renew and end at once: every job is run once.
func testJobsAtOnce(t *testing.T, b *bench) {
	const total, workers = 200, 6
	handles := [2]Store{b.Store, b.handle()}
	members := [2]broker.Membership{b.member(1), b.member(2)}
	jobs := make([]broker.NewJob, total)
	for i := range jobs {
		jobs[i] = broker.NewJob{Kind: "work", Target: strconv.Itoa(i)}
	}
	b.add(jobs...)
	var mu sync.Mutex
	runs := make(map[string]int)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			s, m := handles[i%2], members[i%2]
			for {
				got, err := s.ClaimJobs(ctx(t), broker.JobClaim{Member: m, Kinds: []string{"work"}, Max: 7, Lease: lease})
				if err != nil {
					t.Error(err)
					return
				}
				if len(got.Jobs) == 0 {
					return
				}
				var keys []broker.JobRun
				var ends []broker.JobEnd
				mu.Lock()
				for _, j := range got.Jobs {
					runs[j.ID]++
					keys = append(keys, broker.JobRun{ID: j.ID, Run: j.Run})
					ends = append(ends, broker.JobEnd{JobRun: keys[len(keys)-1], How: broker.JobFinished})
				}
				mu.Unlock()
				if r, err := s.RenewJobs(ctx(t), m, keys, lease); err != nil || len(r.Lost) > 0 {
					t.Error(r, err)
				}
				if lost, err := s.EndJobs(ctx(t), m, ends); err != nil || len(lost) > 0 {
					t.Error(lost, err)
				}
			}
		})
	}
	wg.Wait()
	if len(runs) != total {
		t.Errorf("%d of %d jobs were run", len(runs), total)
	}
	for id, n := range runs {
		if n != 1 {
			t.Errorf("job %s was run %d times", id, n)
		}
	}
}
