package broker_test

import (
	"strings"
	"testing"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// TestRemovedRejoins: a broker that an operator has removed although it lives joins again by itself.
func TestRemovedRejoins(t *testing.T) {
	covers.Req(t, "LV3")
	c := newCluster(t)
	one, two := c.start(1, nil), c.start(2, nil)
	before := one.Member()
	if _, err := two.RemoveBroker(t.Context(), 1, "anna"); err != nil { // it has no heartbeat job: stopped
		t.Fatal(err)
	}
	if list, err := two.Brokers(t.Context()); err != nil || len(list) != 1 {
		t.Fatalf("removed, and the list is %+v, %v", list, err)
	}
	eventually(t, "it has joined again", func() bool {
		list, err := two.Brokers(t.Context())
		return err == nil && len(list) == 2 && list[0].SiteID == 1 && list[0].Live
	})
	if after := one.Member(); after.Epoch <= before.Epoch || after.Cluster != before.Cluster {
		t.Errorf("member %+v after %+v", after, before)
	}
	one.fill(t, ukSetup())
	if added, err := one.AddJobs(t.Context(), broker.HeartbeatJob(1, broker.HeartbeatEvery)); err != nil || !added[0].Fresh {
		t.Errorf("it takes no jobs: %+v, %v", added, err)
	}
}

// TestRemoveRunning: the cluster list says why a broker cannot be removed.
func TestRemoveRunning(t *testing.T) {
	covers.Req(t, "PG4")
	c := newCluster(t)
	one := c.start(1, nil)
	if _, err := one.AddJobs(t.Context(), broker.HeartbeatJob(1, broker.HeartbeatEvery)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-one.JobAdded():
	default:
		t.Error("the worker of this process is not told of the job")
	}
	if _, err := one.RemoveBroker(t.Context(), 1, "anna"); err == nil || !strings.Contains(err.Error(), "only a stopped or unavailable broker can be removed") {
		t.Errorf("a running broker was removed: %v", err)
	}
	list, err := one.Jobs(t.Context(), broker.JobFilter{})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if state, err := one.CancelJob(t.Context(), list[0].ID, "anna"); err != nil || state != broker.JobCancelled {
		t.Fatal(state, err)
	}
	if counts, err := one.JobCounts(t.Context()); err != nil || len(counts) != 1 || counts[0].State != broker.JobCancelled {
		t.Errorf("counts %+v, %v", counts, err)
	}
	if n, err := one.ReassignJobs(t.Context(), 1, 0, "anna"); err != nil || n != 0 {
		t.Errorf("reassigned %d, %v", n, err)
	}
	if _, err := one.RemoveBroker(t.Context(), 1, "anna"); err != nil {
		t.Errorf("a stopped broker was not removed: %v", err)
	}
	report, err := one.CheckSelf(t.Context())
	if err != nil || !strings.HasPrefix(report, "serves logins, 0 of ") || one.LoginShare() != 0 {
		t.Errorf("report %q, %v", report, err)
	}
}
