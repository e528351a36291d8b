package jobs

import (
	"context"
	"fmt"
	"time"

	"switchpoint/broker"
)

// The kinds that the queue itself brings. Each but the heartbeat is one job for the whole cluster.
const (
	// KindPurge deletes what has been kept for long enough (PU2).
	KindPurge = "purge"
	// KindLeaseMaintenance gives the pooled desktops of expired sessions back.
	KindLeaseMaintenance = "lease maintenance"
	// KindPoolStatistics writes how many desktops of each pool are free and used, and how many logins
	// there were in each hour.
	KindPoolStatistics = "pool statistics"

	purgeEvery      = 10 * time.Minute
	leasesEvery     = time.Minute
	statisticsEvery = 5 * time.Minute

	// upkeepBound is what one piece of upkeep may take: it has more rows than a login.
	upkeepBound = 30 * time.Second
)

func (w *Worker) handleOwn() {
	w.Handle(broker.KindHeartbeat, w.heartbeat)
	w.Handle(KindPurge, w.purge)
	w.Handle(KindLeaseMaintenance, w.leases)
	w.Handle(KindPoolStatistics, w.statistics)
}

// addOwn puts this broker's heartbeat and the jobs of the whole cluster into the queue. One that an
// operator has cancelled comes back with it: when a broker starts or joins again.
func (w *Worker) addOwn(ctx context.Context, m broker.Membership) bool {
	bounded, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	_, err := w.o.Store.AddJobs(bounded, broker.WithIDs([]broker.NewJob{
		broker.HeartbeatJob(m.SiteID, w.o.HeartbeatEvery),
		{Kind: KindPurge, Every: purgeEvery},
		{Kind: KindLeaseMaintenance, Every: leasesEvery},
		{Kind: KindPoolStatistics, Every: statisticsEvery},
	}))
	if err != nil {
		w.failed("add", m, err)
	}
	return err == nil
}

// heartbeat checks this broker and keeps what it found for the Cluster page (CL6).
func (w *Worker) heartbeat(ctx context.Context, _ broker.Job) (string, error) {
	l := w.load()
	report := fmt.Sprintf("load average %.2f, %d other jobs", l.Average, l.Running-1)
	if w.o.Check != nil {
		found, err := w.o.Check(ctx)
		if err != nil {
			return "", err
		}
		report = found + ", " + report
	}
	if err := w.o.Store.RecordHeartbeat(ctx, w.o.Member(), report); err != nil {
		return "", err
	}
	w.metrics.heartbeat.SetToCurrentTime()
	return report, nil
}

// purge works off what is due piece by piece, and stops between two when ctx ends.
func (w *Worker) purge(ctx context.Context, _ broker.Job) (string, error) {
	var sum broker.Purged
	_, err := pieces(ctx, func(ctx context.Context) (int, bool, error) {
		p, err := w.o.Store.Purge(ctx, broker.Retention{Log: w.o.LogRetention, Sessions: w.o.SessionRetention})
		sum.Add(p)
		return 0, p.More, err
	})
	if err != nil {
		return "", err
	}
	jobs, err := pieces(ctx, func(ctx context.Context) (int, bool, error) { return w.o.Store.PurgeJobs(ctx, w.o.JobRetention) })
	return fmt.Sprintf("%d log rows, %d sessions, %d leases, %d keys, %d tickets, %d counts and blocks of sign-ins, %d jobs deleted; %d desktops released",
		sum.Log, sum.Sessions, sum.Leases, sum.Keys, sum.Tickets, sum.Limits, jobs, sum.Released), err
}

func (w *Worker) leases(ctx context.Context, _ broker.Job) (string, error) {
	n, err := pieces(ctx, w.o.Store.ReleaseExpired)
	return fmt.Sprintf("%d desktops of expired sessions released", n), err
}

func (w *Worker) statistics(ctx context.Context, _ broker.Job) (string, error) {
	n, err := pieces(ctx, func(ctx context.Context) (int, bool, error) {
		n, err := w.o.Store.RecordPoolStatistics(ctx, w.o.LogRetention)
		return n, false, err
	})
	if err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeout(ctx, upkeepBound)
	defer cancel()
	return fmt.Sprintf("%d pools", n), w.o.Store.RecordLogins(bounded, w.o.LogRetention)
}

// pieces calls work until there is no more, and bounds each call.
func pieces(ctx context.Context, work func(context.Context) (int, bool, error)) (int, error) {
	sum := 0
	for {
		bounded, cancel := context.WithTimeout(ctx, upkeepBound)
		n, more, err := work(bounded)
		cancel()
		sum += n
		if err != nil || !more {
			return sum, err
		}
	}
}
