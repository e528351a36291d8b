package storetest

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
)

func testJobList(t *testing.T, b *bench) {
	m := b.member(3)
	b.add(broker.NewJob{Kind: "work", Target: "c"}, broker.NewJob{Kind: "beat", Target: "b"}, broker.NewJob{Kind: "work", Target: "a", After: time.Hour, For: 4})
	got := b.claim(m, 1, lease)
	b.end(m, broker.JobEnd{How: broker.JobFinished}, got...)
	for name, c := range map[string]struct {
		f    broker.JobFilter
		want string
	}{
		"by target":        {broker.JobFilter{Order: broker.JobsByTarget, Kinds: []string{"work", "beat"}}, "abc"},
		"and back":         {broker.JobFilter{Order: broker.JobsByTarget, Kinds: []string{"work", "beat"}, Descending: true}, "cba"},
		"at most":          {broker.JobFilter{Order: broker.JobsByTarget, Kinds: []string{"work", "beat"}, Limit: 2}, "ab"},
		"one kind":         {broker.JobFilter{Order: broker.JobsByTarget, Kinds: []string{"work"}}, "ac"},
		"one state":        {broker.JobFilter{States: []broker.JobState{broker.JobFinished}}, got[0].Target},
		"two states":       {broker.JobFilter{Order: broker.JobsByTarget, Kinds: []string{"beat"}, States: []broker.JobState{broker.JobFinished, broker.JobPending}}, "b"},
		"one target":       {broker.JobFilter{Target: "a"}, "a"},
		"assigned to site": {broker.JobFilter{Site: 4}, "a"},
		"run by site":      {broker.JobFilter{Site: 3, Kinds: []string{"work", "beat"}}, got[0].Target},
	} {
		var s []string
		for _, j := range must(b.Jobs(ctx(t), c.f))(t) {
			s = append(s, j.Target)
		}
		if strings.Join(s, "") != c.want {
			t.Errorf("%s: %v, want %s", name, s, c.want)
		}
	}
	for _, order := range []broker.JobOrder{broker.JobsByKind, broker.JobsByScheduled, broker.JobsBySite, broker.JobsByStarted, broker.JobsByState} {
		if n := len(must(b.Jobs(ctx(t), broker.JobFilter{Order: order, Descending: true}))(t)); n != 4 {
			t.Errorf("by %s: %d jobs", order, n)
		}
	}
	for _, f := range []broker.JobFilter{{Order: "payload; DROP TABLE job"}, {Limit: -1}, {Limit: 1001}} {
		if _, err := b.Jobs(ctx(t), f); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
	pending := 0
	for _, c := range must(b.JobCounts(ctx(t)))(t) {
		if c.State == broker.JobPending {
			pending += c.Count
		}
		if c.Kind == broker.KindHeartbeat && (c.Due > -time.Minute || c.Due < -time.Hour) {
			t.Errorf("a job that is due in an hour: %+v", c)
		}
	}
	if pending != 3 {
		t.Errorf("%d pending jobs", pending)
	}
}

// testJobPages reads the queue in pages: in every order, each job once, as in one list.
func testJobPages(t *testing.T, b *bench) {
	m := b.member(1)
	var add []broker.NewJob
	for i := range 25 {
		add = append(add, broker.NewJob{Kind: "work" + strconv.Itoa(i%3), Target: strconv.Itoa(i % 5), After: time.Duration(i%4) * time.Hour})
	}
	b.add(add...)
	q := broker.JobClaim{Member: m, Kinds: []string{"work0"}, Max: 2, Lease: lease} // two have a start
	must(b.ClaimJobs(ctx(t), q))(t)
	for _, order := range []broker.JobOrder{broker.JobsByKind, broker.JobsByScheduled, broker.JobsBySite, broker.JobsByStarted, broker.JobsByState, broker.JobsByTarget} {
		for _, down := range []bool{false, true} {
			f := broker.JobFilter{Order: order, Descending: down, Limit: 1000}
			all := must(b.Jobs(ctx(t), f))(t)
			var pages []broker.Job
			for f.Limit = 4; ; f.After = pages[len(pages)-1].ID {
				page := must(b.Jobs(ctx(t), f))(t)
				if pages = append(pages, page...); len(page) < f.Limit || len(pages) > len(all) {
					break
				}
			}
			if !slices.EqualFunc(pages, all, func(a, b broker.Job) bool { return a.ID == b.ID }) {
				t.Errorf("by %s, descending %t: %d jobs in pages, %d in one list", order, down, len(pages), len(all))
			}
		}
	}
	if _, err := b.Jobs(ctx(t), broker.JobFilter{After: "gone"}); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("after a job that is not there: %v", err)
	}
}

func testJobPurge(t *testing.T, b *bench) {
	m := b.member(1)
	b.add(broker.NewJob{Kind: "work", Target: "finished"})
	b.end(m, broker.JobEnd{How: broker.JobFinished}, b.claim(m, 1, lease)...)
	b.add(broker.NewJob{Kind: "work", Target: "aborted"})
	b.end(m, broker.JobEnd{How: broker.JobAborted}, b.claim(m, 1, lease)...)
	cancelled := b.add(broker.NewJob{Kind: "work", Target: "cancelled"})[0]
	must(b.CancelJob(ctx(t), cancelled, "x"))(t)
	b.add(broker.NewJob{Kind: "work", Target: "running"})
	b.claim(m, 1, lease)
	b.add(broker.NewJob{Kind: "work", Target: "pending"})
	if n, more, err := b.PurgeJobs(ctx(t), time.Hour); err != nil || n != 0 || more {
		t.Errorf("purged too early: %d, %v, %v", n, more, err)
	}
	if n, more, err := b.PurgeJobs(ctx(t), -time.Second); err != nil || n != 3 || more {
		t.Errorf("purged %d, %v, %v", n, more, err)
	}
	if n := len(must(b.Jobs(ctx(t), broker.JobFilter{Kinds: []string{"work"}}))(t)); n != 2 {
		t.Errorf("%d jobs are left", n)
	}
}

func testJobReassign(t *testing.T, b *bench) {
	one, two := b.member(1), b.member(2)
	for i := range 3 {
		b.add(broker.NewJob{Kind: "work", Target: strconv.Itoa(i), For: 1})
	}
	running := b.claim(one, 1, lease)
	if n := must(b.ReassignJobs(ctx(t), 1, 2))(t); n != 2 {
		t.Errorf("%d jobs were given away, want those that do not run and are no heartbeat", n)
	}
	if got := b.claim(two, 10, lease); len(got) != 2 || got[0].For != 2 {
		t.Errorf("broker 2 was given %+v", got)
	}
	b.end(one, broker.JobEnd{How: broker.JobPending}, running...)
	if n := must(b.ReassignJobs(ctx(t), 1, 0))(t); n != 1 {
		t.Errorf("%d jobs were given to all", n)
	}
	if got := b.claim(two, 10, lease); len(got) != 1 || got[0].For != 0 {
		t.Errorf("broker 2 was given %+v", got)
	}
	if _, err := b.ReassignJobs(ctx(t), 2, 9); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("jobs were given to nobody: %v", err)
	}
}

func testPoolStatistics(t *testing.T, b *bench) {
	b.fill(setup())
	s, offers := b.login("carl")
	if _, err := b.connect(s, offers[0].ID); err != nil {
		t.Fatal(err)
	}
	if n := must(b.RecordPoolStatistics(ctx(t), time.Hour))(t); n != 2 {
		t.Errorf("%d pools", n)
	}
	list := must(b.PoolStatistics(ctx(t), "", time.Hour))(t)
	if len(list) != 2 {
		t.Fatalf("rows: %+v", list)
	}
	for i, want := range []broker.PoolStatistics{{Pool: "own", Total: 2, Used: 2}, {Pool: "pool", Total: 3, Used: 1, Free: 1, Maintenance: 1}} {
		want.At = list[i].At
		if list[i] != want || want.At.IsZero() {
			t.Errorf("got %+v, want %+v", list[i], want)
		}
	}
	if one := must(b.PoolStatistics(ctx(t), "own", time.Hour))(t); len(one) != 1 || one[0].Pool != "own" {
		t.Errorf("one pool: %+v", one)
	}
	eventually(t, "old rows are deleted", func() bool {
		must(b.RecordPoolStatistics(ctx(t), time.Millisecond))(t)
		return len(must(b.PoolStatistics(ctx(t), "own", time.Hour))(t)) <= 1
	})
}

func testReleaseExpired(t *testing.T, b *bench) {
	b.fill(setup())
	r := b.record("carl")
	r.NewSession.Life = 500 * time.Millisecond
	out := must(b.Login(ctx(t), r))(t)
	if _, err := b.connect(*out.Session, out.Offers[0].ID); err != nil {
		t.Fatal(err)
	}
	stays, offers := b.login("dora")
	if _, err := b.connect(stays, offers[0].ID); err != nil {
		t.Fatal(err)
	}
	sum := 0
	eventually(t, "the desktop is released", func() bool {
		n, _, err := b.ReleaseExpired(ctx(t))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
		return sum > 0
	})
	if n, more, err := b.ReleaseExpired(ctx(t)); n != 0 || more || err != nil || sum != 1 {
		t.Errorf("released %d + %d, %v, %v", sum, n, more, err)
	}
}

// testBusiestHour counts logins, those sent home and those that found no place, and nothing else.
func testBusiestHour(t *testing.T, b *bench) {
	if h := must(b.BusiestHour(ctx(t), time.Hour))(t); h != (broker.LoginHour{}) {
		t.Errorf("before any login: %+v", h)
	}
	logins := 0
	write := func(kind, code string) {
		r := b.row(kind)
		r.Code = code
		if err := b.AppendLog(ctx(t), r); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		write(broker.LogLogin, "")
		write(broker.LogRedirect, "")
		write(broker.LogRefused, broker.CodeBusy)
		logins += 3
		write(broker.LogRefused, broker.CodeSignInFailed)
		write(broker.LogConnect, "")
		for range 2 { // counting again counts nobody twice
			if err := b.RecordLogins(ctx(t), 24*time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
	h := must(b.BusiestHour(ctx(t), 24*time.Hour))(t)
	// An hour or a minute may have ended meanwhile.
	if h.Logins < logins/3 || h.Logins > logins || h.Peak < 1 || h.Peak > h.Logins || h.At.Minute() != 0 || h.At.Second() != 0 {
		t.Errorf("%d logins were counted as %+v", logins, h)
	}
	if h := must(b.BusiestHour(ctx(t), -time.Minute))(t); !h.At.IsZero() {
		t.Errorf("of the time to come: %+v", h)
	}
}
