package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/broker"
)

// JobsProperty lets brokers add, claim, renew, end, cancel, crash, be removed and come back in any
// order, and compares the queue with a model of what is documented: no job is lost, none has two
// runs at once, and no state follows another that is not in the diagram of broker.JobState. The
// clocks of the brokers are minutes apart. Steps bounds one history.
func JobsProperty(t *testing.T, open func() Store, steps int) {
	s := open()
	t.Cleanup(func() { s.Close() })
	var histories atomic.Int64
	rapid.Check(t, func(r *rapid.T) {
		m := &model{T: r, ctx: &bench{Store: s, t: t, open: open}, s: s, kind: fmt.Sprintf("k%d", histories.Add(1)), jobs: make(map[string]*modelJob)}
		for i := range m.members {
			m.join(i)
		}
		actions := []func(){m.add, m.claim, m.claim, m.crash, m.renew, m.end, m.end, m.cancel, m.restart, m.remove}
		for range rapid.IntRange(1, steps).Draw(r, "steps") {
			actions[rapid.IntRange(0, len(actions)-1).Draw(r, "action")]()
			m.compare()
		}
	})
}

// model is what the queue should be.
type model struct {
	*rapid.T
	ctx     *bench
	s       Store
	kind    string // of this history
	members [3]broker.Membership
	jobs    map[string]*modelJob
	ids     []string   // of jobs, in the order in which they were added
	held    []modelRun // every run that was ever claimed, the lost ones too
	aborted int        // rows of runs that failed or were lost
}

type modelJob struct {
	state      broker.JobState
	every      bool
	due        bool // it may be claimed
	site       int
	run        int64
	by         broker.Membership
	dead       bool // its lease has run out
	attempts   int
	cancelling bool
}

type modelRun struct {
	by broker.Membership
	broker.JobRun
}

func (m *model) check(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// join makes the broker a member whose clock is wrong by as many times ten minutes as it has neighbours.
func (m *model) join(i int) {
	n := node(i+1, "broker-"+strconv.Itoa(i+1))
	n.Booted = time.Now().Add(time.Duration(i-1) * 10 * time.Minute)
	member, err := m.s.Join(m.ctx.t.Context(), n, cluster(1), live)
	m.check(err)
	m.members[i] = member
	_, err = m.s.AddJobs(m.ctx.t.Context(), broker.WithIDs([]broker.NewJob{broker.HeartbeatJob(i+1, time.Hour)}))
	m.check(err)
}

func (m *model) add() {
	j := broker.NewJob{Kind: m.kind, Target: id()}
	if rapid.Bool().Draw(m.T, "recurring") {
		j.Every = time.Hour
	}
	if rapid.IntRange(0, 3).Draw(m.T, "assigned") == 0 {
		j.For = rapid.IntRange(1, len(m.members)).Draw(m.T, "site")
	}
	added, err := m.s.AddJobs(m.ctx.t.Context(), broker.WithIDs([]broker.NewJob{j}))
	m.check(err)
	m.ids = append(m.ids, added[0].ID)
	m.jobs[added[0].ID] = &modelJob{state: broker.JobPending, every: j.Every > 0, due: true, site: j.For}
}

func (m *model) claim() { m.take(lease) }

// crash is a claim of a broker that never does anything about it.
func (m *model) crash() { m.take(-time.Second) }

func (m *model) take(lease time.Duration) {
	i := rapid.IntRange(0, len(m.members)-1).Draw(m.T, "claimer")
	n := rapid.IntRange(1, 4).Draw(m.T, "most")
	got, err := m.s.ClaimJobs(m.ctx.t.Context(), broker.JobClaim{Member: m.members[i], Kinds: []string{m.kind}, Max: n, Lease: lease})
	m.check(err)
	m.expire()
	could := 0
	for _, j := range m.jobs {
		if j.state == broker.JobPending && j.due && (j.site == 0 || j.site == i+1) {
			could++
		}
	}
	if len(got.Jobs) != min(n, could) {
		m.Fatalf("claimed %d of %d due jobs, at most %d", len(got.Jobs), could, n)
	}
	for _, g := range got.Jobs {
		j := m.jobs[g.ID]
		if j == nil || j.state != broker.JobPending || !j.due || j.site != 0 && j.site != i+1 {
			m.Fatalf("claimed %+v, which is %+v", g, j)
		}
		j.state, j.run, j.by, j.dead = broker.JobRunning, j.run+1, m.members[i], lease < 0
		j.attempts++
		if g.Run != j.run || g.Attempts != j.attempts {
			m.Fatalf("run %d after %d attempts, want %d and %d", g.Run, g.Attempts, j.run, j.attempts)
		}
		m.held = append(m.held, modelRun{by: m.members[i], JobRun: broker.JobRun{ID: g.ID, Run: g.Run}})
	}
}

// expire is what a claim does first, for all brokers.
func (m *model) expire() {
	for _, j := range m.jobs {
		if j.state != broker.JobRunning || !j.dead {
			continue
		}
		switch {
		case j.cancelling:
			j.state = broker.JobCancelled
		case !j.every && j.attempts >= broker.MaxAttempts:
			j.state = broker.JobAborted
		default:
			m.aborted++
			j.state = broker.JobPending
			if j.every && j.attempts >= broker.MaxAttempts {
				j.attempts, j.due = 0, false
			}
		}
		j.cancelling, j.dead = false, false
	}
}

// some draws a membership and runs of it, of which some may long be lost.
func (m *model) some() (broker.Membership, []broker.JobRun) {
	i := rapid.IntRange(0, len(m.members)-1).Draw(m.T, "holder")
	var runs []broker.JobRun
	for _, h := range m.held {
		if h.by == m.members[i] && rapid.Bool().Draw(m.T, "this run") {
			runs = append(runs, h.JobRun)
		}
	}
	return m.members[i], runs
}

// holds says whether the run stands.
func (m *model) holds(by broker.Membership, r broker.JobRun) bool {
	j := m.jobs[r.ID]
	return j.state == broker.JobRunning && j.run == r.Run && j.by == by
}

func (m *model) renew() {
	by, runs := m.some()
	got, err := m.s.RenewJobs(m.ctx.t.Context(), by, runs, lease)
	m.check(err)
	for _, r := range runs {
		holds := m.holds(by, r)
		if holds == slices.Contains(got.Lost, r) {
			m.Fatalf("run %v: holds %v, renewal %+v", r, holds, got)
		}
		if holds && m.jobs[r.ID].cancelling != slices.Contains(got.Cancel, r) {
			m.Fatalf("run %v: %+v, renewal %+v", r, m.jobs[r.ID], got)
		}
		if holds {
			m.jobs[r.ID].dead = false
		}
	}
}

func (m *model) end() {
	by, runs := m.some()
	var ends []broker.JobEnd
	for _, r := range runs {
		how := rapid.SampledFrom([]broker.JobState{broker.JobFinished, broker.JobAborted, broker.JobCancelled, broker.JobPending}).Draw(m.T, "how")
		ends = append(ends, broker.JobEnd{JobRun: r, How: how, Result: "r", Error: "e"})
	}
	lost, err := m.s.EndJobs(m.ctx.t.Context(), by, ends)
	m.check(err)
	for _, e := range ends {
		holds := m.holds(by, e.JobRun)
		if holds == slices.Contains(lost, e.JobRun) {
			m.Fatalf("run %v: holds %v, lost %v", e.JobRun, holds, lost)
		}
		if holds {
			m.ended(m.jobs[e.ID], e.How)
		}
	}
}

func (m *model) ended(j *modelJob, how broker.JobState) {
	switch {
	case how == broker.JobCancelled, j.cancelling && (j.every || how == broker.JobPending):
		j.state = broker.JobCancelled
	case how == broker.JobPending:
		j.state, j.due = broker.JobPending, true
	case j.every:
		j.state, j.due = broker.JobPending, false
	default:
		j.state = how
	}
	if how == broker.JobAborted && j.state != broker.JobAborted {
		m.aborted++
	}
	j.attempts, j.cancelling, j.dead = 0, false, false
}

func (m *model) cancel() {
	if len(m.ids) == 0 {
		return
	}
	id := rapid.SampledFrom(m.ids).Draw(m.T, "cancelled")
	j := m.jobs[id]
	state, err := m.s.CancelJob(m.ctx.t.Context(), id, "x")
	switch {
	case j.state == broker.JobFinished || j.state == broker.JobAborted:
		if !errors.Is(err, broker.ErrConflict) {
			m.Fatalf("cancelled a job that is %s: %v", j.state, err)
		}
		return
	case err != nil:
		m.Fatal(err)
	case j.state == broker.JobPending:
		j.state = broker.JobCancelled
	case j.state == broker.JobRunning:
		j.cancelling = true
	}
	if state != j.state {
		m.Fatalf("cancelled: %s, want %s", state, j.state)
	}
}

// restart replaces a broker by a new process: what the old one held is lost when its lease is.
func (m *model) restart() {
	i := rapid.IntRange(0, len(m.members)-1).Draw(m.T, "restarted")
	old := m.members[i]
	if rapid.Bool().Draw(m.T, "long ago") {
		m.silence(old)
	}
	m.join(i)
	if _, err := m.s.RenewJobs(m.ctx.t.Context(), old, nil, lease); !errors.Is(err, broker.ErrFenced) {
		m.Fatalf("the replaced process renews: %v", err)
	}
	m.orphan(old)
}

// orphan forgets what a membership held: nobody renews or ends it any more.
func (m *model) orphan(old broker.Membership) {
	m.held = slices.DeleteFunc(m.held, func(h modelRun) bool { return h.by == old })
}

// silence lets the leases of a membership run out. The database's clock cannot be turned, so they
// are renewed into its past.
func (m *model) silence(old broker.Membership) {
	var runs []broker.JobRun
	for id, j := range m.jobs {
		if r := (broker.JobRun{ID: id, Run: j.run}); m.holds(old, r) {
			runs = append(runs, r)
			j.dead = true
		}
	}
	_, err := m.s.RenewJobs(m.ctx.t.Context(), old, runs, -time.Second)
	m.check(err)
}

// remove stops a broker, removes it and lets it join again.
func (m *model) remove() {
	i := rapid.IntRange(0, len(m.members)-1).Draw(m.T, "removed")
	old := m.members[i]
	m.silence(old)
	m.check(m.s.Leave(m.ctx.t.Context(), old))
	want := 0
	for _, j := range m.jobs {
		if j.site == i+1 && (j.state == broker.JobPending || j.state == broker.JobRunning) {
			j.site = 0
			want++
		}
	}
	moved, err := m.s.RemoveBroker(m.ctx.t.Context(), i+1, m.ctx.row(broker.LogCluster))
	m.check(err)
	if moved < want { // jobs of earlier histories may move as well
		m.Fatalf("%d jobs reassigned, want %d", moved, want)
	}
	if err := m.s.Heartbeat(m.ctx.t.Context(), old, broker.Beat{}); !errors.Is(err, broker.ErrRemoved) {
		m.Fatalf("the removed broker beats: %v", err)
	}
	m.orphan(old)
	m.join(i)
}

// compare reads the whole queue of this history.
func (m *model) compare() {
	m.Helper()
	list, err := m.s.Jobs(m.ctx.t.Context(), broker.JobFilter{Kinds: []string{m.kind}, Limit: 1000})
	m.check(err)
	if len(list) != len(m.jobs)+m.aborted {
		m.Fatalf("%d rows, want %d jobs and %d kept runs", len(list), len(m.jobs), m.aborted)
	}
	for _, got := range list {
		want := m.jobs[got.ID]
		if want == nil { // a kept run
			if got.State != broker.JobAborted || got.Error == "" {
				m.Fatalf("kept run %+v", got)
			}
			continue
		}
		if got.State != want.state || got.For != want.site || got.Run != want.run || got.Attempts != want.attempts || got.Cancelling != want.cancelling ||
			got.State == broker.JobRunning && got.RunBy != want.by.SiteID {
			m.Fatalf("the queue has %+v, want %+v", got, want)
		}
	}
}
