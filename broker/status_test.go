package broker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/internal/covers"
)

// TestJudge walks the clock past a scheduled heartbeat with the real durations.
func TestJudge(t *testing.T) {
	covers.Req(t, "PG3")
	next := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	beats := Schedule{Exists: true, Every: HeartbeatEvery, Next: next}
	for _, c := range []struct {
		name   string
		s      Schedule
		at     time.Duration // after the scheduled time
		want   Status
		missed int
	}{
		{"long before", beats, -5 * time.Minute, StatusRunning, 0},
		{"just due", beats, 0, StatusRunning, 0},
		{"late, not missed", beats, 5*time.Minute - time.Second, StatusRunning, 0},
		{"missed once", beats, 5 * time.Minute, StatusRunning, 1},
		{"missed twice", beats, 15*time.Minute - time.Second, StatusRunning, 2},
		{"missed three times", beats, 15 * time.Minute, StatusUnavailable, 3},
		{"missed for a day", beats, 24 * time.Hour, StatusUnavailable, 288},
		{"cancelled", Schedule{}, 24 * time.Hour, StatusStopped, 0},
		{"cancelled just now", Schedule{}, 0, StatusStopped, 0},
	} {
		got, missed, reason := c.s.Judge(next.Add(c.at))
		if got != c.want || missed != c.missed || reason == "" {
			t.Errorf("%s: %s, %d missed, %q; want %s, %d", c.name, got, missed, reason, c.want, c.missed)
		}
	}
}

// TestJudgeProperty: silence never makes a status better, and a heartbeat that ran always does.
func TestJudgeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "now"))
		s := Schedule{Exists: true, Every: time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "every")), Next: now.Add(-time.Duration(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "late")))}
		_, missed, _ := s.Judge(now)
		later, more, _ := s.Judge(now.Add(time.Duration(rapid.Int64Range(0, 1<<50).Draw(t, "silence"))))
		if more < missed || missed >= MissedLimit && later != StatusUnavailable || (later == StatusUnavailable) != (more >= MissedLimit) {
			t.Fatalf("%d missed, later %d and %s", missed, more, later)
		}
		s.Next = now.Add(s.Every)
		if after, missed, _ := s.Judge(now); after != StatusRunning || missed != 0 {
			t.Fatalf("after its heartbeat: %s, %d missed", after, missed)
		}
	})
}

func TestKindsFor(t *testing.T) {
	q := JobClaim{Kinds: []string{"scan", KindHeartbeat}}
	for status, want := range map[Status]string{StatusRunning: "scan heartbeat", StatusUnavailable: "heartbeat", StatusStopped: ""} {
		if got := strings.Join(q.KindsFor(status), " "); got != want {
			t.Errorf("a broker that is %s may be given %q, want %q", status, got, want)
		}
	}
	if got := (JobClaim{Kinds: []string{"scan"}}).KindsFor(StatusUnavailable); got != nil {
		t.Errorf("an unavailable broker that does not ask for its heartbeat may be given %v", got)
	}
}

func TestCheckVersion(t *testing.T) {
	covers.Req(t, "CL7")
	for name, c := range map[string]struct {
		mine, newest string
		live         []string
		ok           bool
	}{
		"first":                        {"v1.4.0", "", nil, true},
		"same":                         {"v1.4.0", "v1.4.0", []string{"v1.4.0", "v1.4.0"}, true},
		"other patch":                  {"1.4.0", "v1.4.9", []string{"v1.4.9-rc1"}, true},
		"next release":                 {"v1.5.0", "v1.4.0", []string{"v1.4.0"}, true},
		"last release":                 {"v1.4.0", "v1.5.0", []string{"v1.5.0"}, true},
		"two ahead":                    {"v1.6.0", "v1.4.0", []string{"v1.4.0"}, false},
		"two behind":                   {"v1.3.0", "v1.5.0", []string{"v1.5.0"}, false},
		"two ahead of one of them":     {"v1.6.0", "v1.5.0", []string{"v1.5.0", "v1.4.0"}, false},
		"two behind the database":      {"v1.3.0", "v1.5.0", nil, false},
		"far ahead of the database":    {"v1.9.0", "v1.5.0", nil, true},
		"next major":                   {"v2.0.0", "v1.9.0", []string{"v1.9.0"}, false},
		"next major, nobody runs":      {"v2.0.0", "v1.9.0", nil, true},
		"back over a major":            {"v1.9.0", "v2.0.0", nil, false},
		"no numbers, same":             {"dev", "dev", []string{"dev"}, true},
		"no numbers, other":            {"dev", "test", []string{"test"}, false},
		"no numbers beside a release":  {"dev", "v1.4.0", []string{"v1.4.0"}, false},
		"a release beside no numbers":  {"v1.4.0", "v1.4.0", []string{"dev"}, false},
		"no numbers, nobody runs":      {"dev", "v1.4.0", nil, true},
		"pseudo versions of one state": {"v0.0.0-20260301-a", "", []string{"v0.0.0-20260302-b"}, true},
	} {
		err := CheckVersion(c.mine, c.newest, c.live)
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), c.mine)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range [][3]string{{"", "v1.0", "v1.0"}, {"v1.9.0", "v1.10.0", "v1.10.0"}, {"v2.0.0", "v1.10.0", "v2.0.0"}, {"v1.2.0", "dev", "v1.2.0"}, {"dev", "v1.2.0", "v1.2.0"}, {"v1.2.1", "v1.2.2", "v1.2.1"}} {
		if got := NewerVersion(c[0], c[1]); got != c[2] {
			t.Errorf("newer of %q and %q is %q, want %q", c[0], c[1], got, c[2])
		}
	}
	for _, text := range []string{"", "1", "v", "v1.", "v1.x", ".1", "1.99999999999999999999", "-1.2"} {
		if r, ok := parseRelease(text); ok {
			t.Errorf("%q is read as %v", text, r)
		}
	}
}

func TestCheckHolder(t *testing.T) {
	n := func(name, uuid string, site int) Node { return Node{Name: name, UUID: uuid, SiteID: site} }
	for name, c := range map[string]struct {
		n, holder Node
		age       time.Duration
		ok        bool
	}{
		"itself, started again":               {n("a", "u", 1), n("a", "u", 1), 0, true},
		"itself, renamed":                     {n("b", "u", 1), n("a", "u", 1), 0, true},
		"another machine of the same name":    {n("a", "v", 1), n("a", "u", 1), time.Second, false},
		"the same, silent":                    {n("a", "v", 1), n("a", "u", 1), Liveness, true},
		"another name, no UUIDs":              {n("b", "", 1), n("a", "", 1), time.Second, false},
		"the same name, no UUIDs":             {n("a", "", 1), n("a", "", 1), time.Second, true},
		"the same name, it had no UUID":       {n("a", "u", 1), n("a", "", 1), time.Second, true},
		"a copy under another site id":        {n("b", "u", 2), n("a", "u", 1), time.Second, false},
		"the same, moved to another site id":  {n("a", "u", 2), n("a", "u", 1), Liveness, true},
		"a copy of the same name, other site": {n("a", "u", 2), n("a", "u", 1), time.Second, false},
	} {
		if err := c.n.CheckHolder(c.holder, c.age, Liveness); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
