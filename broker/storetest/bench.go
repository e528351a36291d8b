package storetest

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
)

// Queue measures claim + reschedule: brokers claim recurring jobs that are always due, a hundred at
// a time, and end them. One operation is one job.
func Queue(b *testing.B, open func() Store, brokers int) {
	const queued, batch = 20_000, 100
	s := open()
	defer s.Close()
	jobs := make([]broker.NewJob, queued)
	for i := range jobs {
		jobs[i] = broker.NewJob{Kind: "work", Target: strconv.Itoa(i), Every: time.Millisecond}
	}
	if _, err := s.AddJobs(b.Context(), broker.WithIDs(jobs)); err != nil {
		b.Fatal(err)
	}
	members := make([]broker.Membership, brokers)
	for i := range members {
		m, err := s.Join(b.Context(), node(i+1, "broker-"+strconv.Itoa(i)), cluster(1), live)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.AddJobs(b.Context(), broker.WithIDs([]broker.NewJob{broker.HeartbeatJob(m.SiteID, time.Hour)})); err != nil {
			b.Fatal(err)
		}
		members[i] = m
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for _, m := range members {
		wg.Go(func() {
			for left.Load() > 0 {
				got, err := s.ClaimJobs(b.Context(), broker.JobClaim{Member: m, Kinds: []string{"work"}, Max: batch, Lease: lease})
				if err != nil {
					b.Error(err)
					return
				}
				ends := make([]broker.JobEnd, len(got.Jobs))
				for i, j := range got.Jobs {
					ends[i] = broker.JobEnd{JobRun: broker.JobRun{ID: j.ID, Run: j.Run}, How: broker.JobFinished, Result: "ok"}
				}
				if lost, err := s.EndJobs(b.Context(), m, ends); err != nil || len(lost) > 0 {
					b.Error(len(lost), err)
					return
				}
				left.Add(-int64(len(ends)))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
