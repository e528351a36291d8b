package jobs

import (
	"context"
	"testing"
	"time"

	"switchpoint/broker"
)

// patient is a store that wants more time for a piece of upkeep than for a login: with less, a slow
// database would never delete anything, for what was done until then is undone.
type patient struct {
	broker.Store
	t     *testing.T
	calls int
}

func (p *patient) look(ctx context.Context) {
	p.calls++
	if end, bounded := ctx.Deadline(); !bounded || time.Until(end) < upkeepBound/2 {
		p.t.Errorf("call %d ends at %v", p.calls, end)
	}
}

func (p *patient) Purge(ctx context.Context, r broker.Retention) (broker.Purged, error) {
	p.look(ctx)
	return p.Store.Purge(ctx, r)
}

func (p *patient) PurgeJobs(ctx context.Context, keep time.Duration) (int, bool, error) {
	p.look(ctx)
	return p.Store.PurgeJobs(ctx, keep)
}

func (p *patient) ReleaseExpired(ctx context.Context) (int, bool, error) {
	p.look(ctx)
	return p.Store.ReleaseExpired(ctx)
}

func (p *patient) RecordPoolStatistics(ctx context.Context, keep time.Duration) (int, error) {
	p.look(ctx)
	return p.Store.RecordPoolStatistics(ctx, keep)
}

func TestUpkeepHasTime(t *testing.T) {
	s := &patient{Store: newCluster(t).store(), t: t}
	w, err := New(options(s, broker.Membership{SiteID: 1}))
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []Handler{w.purge, w.leases, w.statistics} {
		if _, err := run(t.Context(), broker.Job{}); err != nil {
			t.Error(err)
		}
	}
	if s.calls != 4 {
		t.Errorf("%d calls", s.calls)
	}
}

// purged is a store that purges in two pieces.
type purged struct {
	broker.Store
	calls int
}

func (p *purged) Purge(context.Context, broker.Retention) (broker.Purged, error) {
	p.calls++
	return broker.Purged{Released: 1, Sessions: 2, Keys: 3, Tickets: 4, Limits: 5, Leases: 6, Log: 7, More: p.calls == 1}, nil
}

func (p *purged) PurgeJobs(context.Context, time.Duration) (int, bool, error) { return 8, false, nil }

// TestPurgeReport: the report counts all that was deleted, over all pieces.
func TestPurgeReport(t *testing.T) {
	w, err := New(options(&purged{}, broker.Membership{SiteID: 1}))
	if err != nil {
		t.Fatal(err)
	}
	const want = "14 log rows, 4 sessions, 12 leases, 6 keys, 8 tickets, 10 counts and blocks of sign-ins, 8 jobs deleted; 2 desktops released"
	if got, err := w.purge(t.Context(), broker.Job{}); err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}
