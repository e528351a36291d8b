package storetest

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"switchpoint/broker"
)

func testJoinVersion(t *testing.T, b *bench) {
	join := func(site int, version string) (broker.Membership, error) {
		n := node(site, "broker-"+strconv.Itoa(site))
		n.Version = version
		return b.Join(ctx(t), n, cluster(1), live)
	}
	old := must(join(1, "v1.4.2"))(t)
	must(join(2, "v1.5.0"))(t)
	if _, err := join(3, "v1.6.0"); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a release that does not go with 1.4 was let in beside it: %v", err)
	}
	if err := b.Leave(ctx(t), old); err != nil {
		t.Fatal(err)
	}
	must(join(3, "v1.6.0"))(t)
	if _, err := join(1, "v1.4.2"); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a release before the last was let in: %v", err)
	}
	for _, n := range must(b.Brokers(ctx(t)))(t) { // nobody runs any more
		if n.SiteID == 1 {
			continue
		}
		if err := b.Leave(ctx(t), broker.Membership{SiteID: n.SiteID, Epoch: n.Epoch}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := join(1, "v1.4.2"); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a release before the last was let in to the database of a newer one: %v", err)
	}
	must(join(1, "v1.5.9"))(t)
}

func testJoinUUID(t *testing.T, b *bench) {
	with := func(site int, name, uuid string) broker.Node {
		n := node(site, name)
		n.UUID, n.IP, n.MAC, n.Fingerprint = uuid, "192.0.2.1", "02:00:00:00:00:01", "f1"
		return n
	}
	first := must(b.Join(ctx(t), with(1, "a", "u1"), cluster(1), live))(t)
	if list := must(b.Brokers(ctx(t)))(t); list[0].Node != with(1, "a", "u1") {
		t.Errorf("came back as %+v", list[0].Node)
	}
	if _, err := b.handle().Join(ctx(t), with(1, "a", "u2"), cluster(1), live); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("another machine of the same name took the site id of a live broker: %v", err)
	}
	if _, err := b.Join(ctx(t), with(2, "b", "u1"), cluster(1), live); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a copy of a live broker was let in: %v", err)
	}
	if err := b.Heartbeat(ctx(t), first, broker.Beat{}); err != nil {
		t.Errorf("a refused broker has fenced the one that lives: %v", err)
	}
	again := must(b.Join(ctx(t), with(1, "renamed", "u1"), cluster(1), live))(t)
	if again.Epoch <= first.Epoch || !errors.Is(b.Heartbeat(ctx(t), first, broker.Beat{}), broker.ErrFenced) {
		t.Errorf("the same broker under another name: %+v after %+v", again, first)
	}
	must(b.Join(ctx(t), with(3, "moved", "u1"), cluster(1), -time.Second))(t) // site id 1 is silent
	if list := must(b.Brokers(ctx(t)))(t); len(list) != 2 || list[0].UUID != "" || list[1].UUID != "u1" {
		t.Errorf("after the move: %+v", list)
	}
}

// status finds a broker in the list.
func (b *bench) status(site int) (broker.NodeStatus, bool) {
	b.t.Helper()
	for _, n := range must(b.Brokers(ctx(b.t)))(b.t) {
		if n.SiteID == site {
			return n, true
		}
	}
	return broker.NodeStatus{}, false
}

func testStatus(t *testing.T, b *bench) {
	m := b.member(1)
	n, _ := b.status(1)
	if n.Status != broker.StatusRunning || !n.Live || n.Missed != 0 || n.NextHeartbeat.IsZero() || !n.LastHeartbeat.IsZero() || n.Reason == "" {
		t.Errorf("with a heartbeat job: %+v", n)
	}
	if err := b.RecordHeartbeat(ctx(t), m, "fine"); err != nil {
		t.Fatal(err)
	}
	if n, _ := b.status(1); n.LastHeartbeat.IsZero() || n.Report != "fine" {
		t.Errorf("after its heartbeat: %+v", n)
	}
	beat := must(b.Jobs(ctx(t), broker.JobFilter{Kinds: []string{broker.KindHeartbeat}}))(t)[0]
	must(b.CancelJob(ctx(t), beat.ID, "anna"))(t)
	if n, _ := b.status(1); n.Status != broker.StatusStopped || !n.Live || n.Stopped || !n.NextHeartbeat.IsZero() || n.LastHeartbeat.IsZero() {
		t.Errorf("its heartbeat job was cancelled: %+v", n)
	}
	b.add(broker.NewJob{Kind: "work"})
	q := broker.JobClaim{Member: m, Kinds: []string{"work"}, Max: 9, Lease: lease}
	if got := must(b.ClaimJobs(ctx(t), q))(t); len(got.Jobs) != 0 || got.Status != broker.StatusStopped {
		t.Errorf("a stopped broker was given jobs: %+v", got)
	}
	b.add(broker.HeartbeatJob(1, time.Hour))
	if got := must(b.ClaimJobs(ctx(t), q))(t); len(got.Jobs) != 1 || got.Status != broker.StatusRunning {
		t.Errorf("it does not run again: %+v", got)
	}
	if err := b.Leave(ctx(t), m); err != nil {
		t.Fatal(err)
	}
	if n, _ := b.status(1); n.Status != broker.StatusStopped || n.Live || !n.Stopped {
		t.Errorf("after it left: %+v", n)
	}
	if left := must(b.Jobs(ctx(t), broker.JobFilter{Kinds: []string{broker.KindHeartbeat}, States: []broker.JobState{broker.JobPending, broker.JobRunning}}))(t); len(left) != 0 {
		t.Errorf("its heartbeat job is still there: %+v", left)
	}
	b.member(1)
	if n, _ := b.status(1); n.Status != broker.StatusRunning || n.Stopped {
		t.Errorf("after it came back: %+v", n)
	}
}

// testUnavailable lets heartbeats of a tenth of a second be missed.
func testUnavailable(t *testing.T, b *bench) {
	m := must(b.Join(ctx(t), node(1, "a"), cluster(1), live))(t)
	b.add(broker.HeartbeatJob(1, 100*time.Millisecond))
	var n broker.NodeStatus
	eventually(t, "three are missed", func() bool { n, _ = b.status(1); return n.Status == broker.StatusUnavailable })
	if n.Missed < broker.MissedLimit || !n.Live || n.NextHeartbeat.IsZero() {
		t.Errorf("unavailable: %+v", n)
	}
	b.add(broker.NewJob{Kind: "work"})
	got := must(b.ClaimJobs(ctx(t), broker.JobClaim{Member: m, Kinds: []string{"work", broker.KindHeartbeat}, Max: 9, Lease: lease}))(t)
	if got.Status != broker.StatusUnavailable || len(got.Jobs) != 1 || got.Jobs[0].Kind != broker.KindHeartbeat {
		t.Fatalf("an unavailable broker was given more than its heartbeat: %+v", got)
	}
	b.add(broker.HeartbeatJob(1, time.Hour)) // long enough to look at
	b.end(m, broker.JobEnd{How: broker.JobFinished}, got.Jobs...)
	if n, _ := b.status(1); n.Status != broker.StatusRunning || n.Missed != 0 {
		t.Errorf("after its heartbeat: %+v", n)
	}
	if got := b.claim(m, 9, lease); len(got) != 1 || got[0].Kind != "work" {
		t.Errorf("it was given %+v", got)
	}
}

func testRemove(t *testing.T, b *bench) {
	one, two := b.member(1), b.member(2)
	b.add(broker.NewJob{Kind: "work", Target: "pending", For: 1}, broker.NewJob{Kind: "beat", Target: "every", For: 1, Every: time.Hour, After: time.Hour})
	if _, err := b.RemoveBroker(ctx(t), 1, b.row(broker.LogCluster)); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a running broker was removed: %v", err)
	}
	if _, err := b.RemoveBroker(ctx(t), 9, b.row(broker.LogCluster)); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a broker that is not there was removed: %v", err)
	}
	if err := b.Leave(ctx(t), one); err != nil {
		t.Fatal(err)
	}
	if got := b.claim(two, 9, lease); len(got) != 0 {
		t.Errorf("jobs of a broker that is listed went to another one: %+v", got)
	}
	row := b.row(broker.LogCluster)
	if n := must(b.RemoveBroker(ctx(t), 1, row))(t); n != 2 {
		t.Errorf("%d jobs were reassigned", n)
	}
	must(b.LogByRef(ctx(t), row.Ref))(t)
	if n, listed := b.status(1); listed {
		t.Errorf("it is still listed: %+v", n)
	}
	if got := b.claim(two, 9, lease); len(got) != 1 || got[0].Target != "pending" {
		t.Errorf("its jobs did not go to the other broker: %+v", got)
	}
	_, claim := b.ClaimJobs(ctx(t), broker.JobClaim{Member: one, Kinds: []string{"work"}, Max: 1, Lease: lease})
	for call, err := range map[string]error{"heartbeat": b.Heartbeat(ctx(t), one, broker.Beat{}), "claim": claim} {
		if !errors.Is(err, broker.ErrRemoved) || errors.Is(err, broker.ErrFenced) {
			t.Errorf("%s of the removed broker: %v", call, err)
		}
	}
	back := b.member(1) // it lives and joins again
	b.add(broker.NewJob{Kind: "work", Target: "new"})
	if got := b.claim(back, 9, lease); len(got) != 1 || back.Epoch <= one.Epoch {
		t.Errorf("after joining again (epoch %d) it was given %+v", back.Epoch, got)
	}
}

// testRemovedSiteID gives the place of a broker to a new one, with its jobs.
func testRemovedSiteID(t *testing.T, b *bench) {
	gone := b.member(1)
	b.add(broker.NewJob{Kind: "work", Target: "of-1", For: 1})
	if _, err := b.Join(ctx(t), node(1, "new"), cluster(1), live); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("the site id of a live broker was given away: %v", err)
	}
	if err := b.Leave(ctx(t), gone); err != nil {
		t.Fatal(err)
	}
	must(b.Join(ctx(t), node(1, "new"), cluster(1), live))(t)
	b.add(broker.HeartbeatJob(1, time.Hour))
	n, _ := b.status(1)
	if n.Name != "new" || n.Report != "" || !n.LastHeartbeat.IsZero() {
		t.Errorf("the new broker shows what the old one was: %+v", n)
	}
	next := broker.Membership{SiteID: 1, Epoch: n.Epoch}
	if got := b.claim(next, 9, lease); len(got) != 2 {
		t.Errorf("the new broker was given %+v, want the heartbeat and the old one's job", got)
	}
	if err := b.Heartbeat(ctx(t), gone, broker.Beat{}); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the old one may go on: %v", err)
	}
	if err := b.Leave(ctx(t), next); err != nil {
		t.Fatal(err)
	}
	must(b.RemoveBroker(ctx(t), 1, b.row(broker.LogCluster)))(t)
	b.add(broker.NewJob{Kind: "work", Target: "after"})
	third := must(b.Join(ctx(t), node(1, "third"), cluster(1), live))(t)
	b.add(broker.HeartbeatJob(1, time.Hour))
	if got := b.claim(third, 9, lease); len(got) != 2 {
		t.Errorf("the broker with the site id of a removed one was given %+v", got)
	}
	if err := b.Heartbeat(ctx(t), next, broker.Beat{}); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the removed one, whose place is taken, may go on: %v", err)
	}
}

// testDetach lets a broker go over to another database.
func testDetach(t *testing.T, b *bench) {
	one, two := b.member(1), b.member(2)
	b.add(broker.NewJob{Kind: "work", Target: "done"})
	b.end(one, broker.JobEnd{How: broker.JobFinished}, b.claim(one, 1, lease)...)
	b.add(broker.NewJob{Kind: "work", Target: "others"})
	b.end(two, broker.JobEnd{How: broker.JobFinished}, b.claim(two, 1, lease)...)
	waiting := b.add(broker.NewJob{Kind: "work", Target: "waiting", For: 1})[0]
	b.add(broker.HeartbeatJob(1, 100*time.Millisecond))
	if err := b.Detach(ctx(t), one); err != nil {
		t.Fatal(err)
	}
	ended := must(b.Jobs(ctx(t), broker.JobFilter{States: []broker.JobState{broker.JobFinished, broker.JobCancelled, broker.JobAborted}}))(t)
	if len(ended) != 1 || ended[0].RunBy != 2 {
		t.Errorf("ended jobs: %+v, want those of broker 2 alone", ended)
	}
	if j := b.job(waiting); j.State != broker.JobPending || j.For != 1 {
		t.Errorf("its pending job: %+v", j)
	}
	var n broker.NodeStatus
	eventually(t, "it becomes unavailable", func() bool { n, _ = b.status(1); return n.Status == broker.StatusUnavailable })
	if n.Live {
		t.Errorf("it counts as alive: %+v", n)
	}
	if moved := must(b.RemoveBroker(ctx(t), 1, b.row(broker.LogCluster)))(t); moved != 1 {
		t.Errorf("%d jobs were reassigned", moved)
	}
	if got := b.claim(two, 1, lease); len(got) != 1 || got[0].ID != waiting {
		t.Errorf("broker 2 was given %+v", got)
	}
}
