package admin

import (
	"context"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
)

const testToken = "a-token-of-some-length"

// fake is a cluster in memory that remembers what was done to it.
type fake struct {
	brokers []broker.NodeStatus
	jobs    []broker.Job
	counts  []broker.JobCount
	asked   broker.JobFilter
	did     []string
	fails   error
}

func (f *fake) cluster() Cluster {
	act := func(format string, args ...any) error {
		if f.fails == nil {
			f.did = append(f.did, fmt.Sprintf(format, args...))
		}
		return f.fails
	}
	return Cluster{
		Name: "uk", SiteID: 1,
		Brokers: func(context.Context) ([]broker.NodeStatus, error) { return f.brokers, f.fails },
		Goals: func(context.Context) ([]broker.Goal, error) {
			return []broker.Goal{
				{Name: broker.GoalAvailability, State: broker.GoalMet, Reasons: []string{"brokers live on 2 hosts"}},
				{Name: broker.GoalRecovery, State: broker.GoalAtRisk, Reasons: []string{"the database has one address"}},
				{Name: broker.GoalCapacity, State: broker.GoalNotMet, Reasons: []string{"the busiest hour", "all together 2.0/s"}},
			}, f.fails
		},
		RemoveBroker: func(_ context.Context, site int, by string) (int, error) { return 7, act("remove %d by %s", site, by) },
		Jobs: func(_ context.Context, q broker.JobFilter) ([]broker.Job, error) {
			f.asked = q
			return selectJobs(f.jobs, q), f.fails
		},
		JobCounts: func(context.Context) ([]broker.JobCount, error) { return f.counts, f.fails },
		CancelJob: func(_ context.Context, id, by string) (broker.JobState, error) {
			return broker.JobCancelled, act("cancel %s by %s", id, by)
		},
		RunJobs: func(_ context.Context, kind, target, by string) ([]broker.Job, error) {
			return nil, act("run %s of %s by %s", kind, target, by)
		},
	}
}

func selectJobs(jobs []broker.Job, q broker.JobFilter) []broker.Job {
	var out []broker.Job
	jobs = jobs[slices.IndexFunc(jobs, func(j broker.Job) bool { return j.ID == q.After })+1:]
	for _, j := range jobs {
		if (q.ID == "" || j.ID == q.ID) && len(out) < q.Limit {
			out = append(out, j)
		}
	}
	return out
}

// epoch is the database's clock in these tests.
func epoch() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

// newFake has a running, a stopped and an unavailable broker and a recurring, a running and a
// finished job.
func newFake() *fake {
	at := epoch()
	node := func(site int, name, settings string) broker.NodeStatus {
		return broker.NodeStatus{
			Node:      broker.Node{Name: name, Datacenter: "london", Version: "1.4.0", SiteID: site, Booted: at.Add(-26 * time.Hour), UUID: fmt.Sprintf("uuid-%d", site), IP: fmt.Sprintf("10.0.0.%d", site), MAC: "02:00:00:00:00:01", Host: "host-id", Fingerprint: settings},
			Heartbeat: at.Add(-time.Second), Age: time.Second, Live: true, Status: broker.StatusRunning, Reason: "its heartbeat job runs",
			LastHeartbeat: at.Add(-2 * time.Minute), NextHeartbeat: at.Add(3 * time.Minute), Report: "serves logins",
			Beat: broker.Beat{Load: broker.HostLoad{CPUs: 4, Average: 1.5, Busy: 0.25, Steal: 0.03}, Carries: 12.5},
		}
	}
	one, two, three, four := node(1, "broker-1", "login_wait:aa"), node(2, "broker-2", "login_wait:aa"), node(3, "broker-3", "login_wait:aa"), node(4, "broker-4", "login_wait:bb")
	four.ClockOff = -10 * time.Minute
	two.Status, two.Reason, two.Live, two.Stopped, two.NextHeartbeat = broker.StatusStopped, "its heartbeat job was cancelled", false, true, time.Time{}
	three.Status, three.Reason, three.Live, three.Missed, three.Age = broker.StatusUnavailable, "3 heartbeats missed", false, 3, 17*time.Minute
	three.Heartbeat, three.LastHeartbeat = at.Add(-three.Age), time.Time{}
	job := func(id, kind, target string, state broker.JobState) broker.Job {
		return broker.Job{NewJob: broker.NewJob{ID: id, Kind: kind, Target: target}, State: state, RunAt: at.Add(time.Minute)}
	}
	jobs := []broker.Job{job("j1", "center scan", "vcenter", broker.JobPending), job("j2", "wait for start", "pc-7", broker.JobRunning), job("j3", "purge", "", broker.JobFinished), job("j4", broker.KindHeartbeat, "1", broker.JobPending)}
	jobs[0].Every, jobs[3].Every, jobs[3].For = time.Hour, 5*time.Minute, 1
	jobs[1].RunBy, jobs[1].Started, jobs[1].RunAt = 1, at.Add(-12*time.Second), at.Add(-13*time.Second)
	jobs[2].RunBy, jobs[2].Started, jobs[2].Ended, jobs[2].Result, jobs[2].RunAt = 2, at.Add(-time.Hour), at.Add(-time.Hour+1500*time.Millisecond), "12 log rows deleted", at.Add(-time.Hour)
	return &fake{
		brokers: []broker.NodeStatus{one, two, three, four}, jobs: jobs,
		counts: []broker.JobCount{
			{Kind: "center scan", State: broker.JobPending, Count: 1, Due: -time.Minute}, {Kind: "heartbeat", State: broker.JobPending, Count: 1, Due: -time.Minute},
			{Kind: "wait for start", State: broker.JobRunning, Count: 1}, {Kind: "purge", State: broker.JobFinished, Count: 1, Due: time.Hour},
		},
	}
}

// tab is a browser that talks to the console's handler, without a socket.
type tab struct {
	t       *testing.T
	h       http.Handler
	cookies map[string]string
	from    string
	host    string
}

func newTab(t *testing.T, f *fake, g *gate) *tab {
	t.Helper()
	c, err := newConsole(Options{Name: "node-1", Log: slog.New(slog.DiscardHandler), Pages: ClusterPages(f.cluster())}, g)
	if err != nil {
		t.Fatal(err)
	}
	return &tab{t: t, h: c.handler(), cookies: make(map[string]string), from: "10.9.8.7:1234", host: "localhost"}
}

// answer is what a browser got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) to() string { return a.header.Get("Location") }

func (b *tab) do(method, path string, form url.Values) answer {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(form.Encode()))
	r.RemoteAddr, r.Host = b.from, b.host
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	res := w.Result()
	defer func() { _ = res.Body.Close() }()
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return answer{res.StatusCode, res.Header, w.Body.String()}
}

func (b *tab) get(path string) answer { b.t.Helper(); return b.do(http.MethodGet, path, nil) }

// post sends a form with the token of the page that it stands on.
func (b *tab) post(page, path string, form url.Values) answer {
	b.t.Helper()
	form.Set("csrf", b.get(page).field(b.t, "csrf"))
	return b.do(http.MethodPost, path, form)
}

// signIn makes the browser one of somebody who knows the token.
func (b *tab) signIn() {
	b.t.Helper()
	if a := b.post("/console/signin", "/console/signin", url.Values{"token": {testToken}}); a.status != http.StatusSeeOther || a.to() != "/console/" {
		b.t.Fatalf("sign-in: %d %s", a.status, a.body)
	}
}

// field is the value of a hidden field.
func (a answer) field(t *testing.T, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no field %s in %d %s", name, a.status, a.body)
	}
	return html.UnescapeString(m[1])
}

// text is the page without its tags, with one blank between words.
func (a answer) text() string {
	return strings.Join(strings.Fields(html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(a.body, " "))), " ")
}

// needs fails for each part that the text of the page does not have.
func (a answer) needs(t *testing.T, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(a.text(), p) {
			t.Errorf("the page (%d) has no %q:\n%s", a.status, p, a.text())
		}
	}
}
