package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

// racks is a setup of n desktops that change pool and host with every version, beside a center.
func racks(n, version int) broker.Setup {
	s := broker.Setup{
		DesktopPools: []broker.DesktopPool{
			{Name: "pool", Kind: broker.KindPooled, Backup: "spare", Rules: []broker.PoolRule{{Attribute: "ip", Match: "in-network", Value: "10.1.0.0/16"}}},
			{Name: "spare", Kind: broker.KindPooled},
		},
		Centers: []broker.Center{{Name: "racks", Kind: broker.CenterCSV, CSV: "name\n"}},
	}
	for i := range n {
		s.Desktops = append(s.Desktops, broker.Desktop{Name: fmt.Sprint("d", i), Pool: s.DesktopPools[(i+version)%2].Name, Host: fmt.Sprint("h", version)})
	}
	return s.WithDefaults()
}

// together lets all that write rows of desktops and jobs run at once, for two seconds: what the server
// undoes to end a deadlock is done again, and no call fails.
func together(t *testing.T, d *databases) {
	const users, desktops = 16, 10
	s := open(t, Options{URL: d.fresh(t, d.DSN), MaxConns: 30, QueryTimeout: 30 * time.Second})
	m := join(t, s, 1)
	version, err := s.ReplaceSetup(t.Context(), racks(desktops, 0), 0, broker.LogRow{ID: newID()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddJobs(t.Context(), broker.WithIDs([]broker.NewJob{broker.HeartbeatJob(1, time.Hour)})); err != nil {
		t.Fatal(err)
	}
	over, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	var wg sync.WaitGroup
	loop := func(name string, n int, fn func(i int) error) {
		for i := range n {
			wg.Go(func() {
				for over.Err() == nil {
					if err := fn(i); err != nil && !errors.Is(err, broker.ErrNoDesktop) {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
	}
	ctx, log := t.Context(), func() broker.LogRow { return broker.LogRow{ID: newID()} }
	loop("user", users, func(i int) error {
		in, _, err := signIn(ctx, s, fmt.Sprint("user", i))
		if err != nil {
			return err
		}
		_, err = s.Logout(ctx, in.ID, log())
		return err
	})
	loop("setup", 1, func(int) (err error) {
		version, err = s.ReplaceSetup(ctx, racks(desktops, int(version)), version, log())
		return err
	})
	loop("scan", 2, func(int) error {
		batch := broker.ScanBatch{Center: "racks", Vanished: []string{fmt.Sprint("m", rand.IntN(20))}}
		for i := range 10 {
			batch.Machines = append(batch.Machines, broker.Machine{Name: fmt.Sprint("m", i), Host: fmt.Sprint("x", rand.IntN(9)), IP: fmt.Sprintf("10.%d.0.1", 1+rand.IntN(2)), Port: 1, Protocol: "rdp"})
		}
		_, err := s.ApplyScan(ctx, batch)
		return err
	})
	loop("import", 1, func(int) error {
		_, err := s.ImportAssignments(ctx, []broker.Assignment{{User: "x", Directory: "local", Desktop: "m3"}, {User: "y", Directory: "local", Desktop: "m1"}}, rand.IntN(2) == 0, log())
		return err
	})
	loop("refresh", 1, func(int) error { _, err := s.RefreshPools(ctx); return err })
	loop("purge", 2, func(int) error {
		_, err := s.Purge(ctx, broker.Retention{Log: time.Second, Sessions: time.Second})
		return err
	})
	loop("release", 1, func(int) error { _, _, err := s.ReleaseExpired(ctx); return err })
	loop("sweep", 1, func(int) error { _, err := s.SweepDesktops(ctx); return err })
	loop("statistics", 1, func(int) error { _, err := s.RecordPoolStatistics(ctx, time.Second); return err })
	loop("add", 2, func(int) error {
		var jobs []broker.NewJob
		for _, i := range rand.Perm(4) {
			jobs = append(jobs, broker.NewJob{Kind: "work", Target: fmt.Sprint(i), Every: time.Hour}, broker.NewJob{Kind: "work"})
		}
		_, err := s.AddJobs(ctx, broker.WithIDs(jobs))
		return err
	})
	loop("work", 3, func(int) error { return workOnce(ctx, s, m) })
	loop("reassign", 1, func(int) error { _, err := s.ReassignJobs(ctx, 1, 0); return err })
	loop("beat", 1, func(int) error { return s.Heartbeat(ctx, m, broker.Beat{}) })
	wg.Wait()
}

// workOnce claims jobs, of which some are lost at once, renews and ends them.
func workOnce(ctx context.Context, s *Store, m broker.Membership) error {
	got, err := s.ClaimJobs(ctx, broker.JobClaim{Member: m, Kinds: []string{"work"}, Max: 8, Lease: time.Duration(rand.IntN(2)) * time.Second})
	if err != nil {
		return err
	}
	var runs []broker.JobRun
	var ends []broker.JobEnd
	for _, j := range got.Jobs {
		runs = append(runs, broker.JobRun{ID: j.ID, Run: j.Run})
		how := []broker.JobState{broker.JobFinished, broker.JobAborted, broker.JobPending}[rand.IntN(3)]
		ends = append(ends, broker.JobEnd{JobRun: runs[len(runs)-1], How: how})
	}
	if _, err := s.RenewJobs(ctx, m, runs, time.Second); err != nil {
		return err
	}
	_, err = s.EndJobs(ctx, m, ends)
	return err
}
