package admin

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// TestClusterPage shows every column of PG1, with the reason of each status and ages by the
// database's clock.
func TestClusterPage(t *testing.T) {
	covers.Req(t, "PG1", "PG2", "OP1", "OP2")
	b := newTab(t, newFake(), nil)
	b.cookies[cookieColumns] = strings.ReplaceAll(formatColumns(clusterColumns), "-", "") // all
	a := b.get("/console/cluster")
	a.needs(t, "System › Cluster Management", "Running 2", "Stopped 1", "Unavailable 1",
		"Actions Name IP Address Status Live Version Site ID Data centre Host Carries Booted Last heartbeat Next heartbeat Missed UUID MAC Host ID Configuration Newest report",
		"Newest report broker-1 this one 10.0.0.1 running its heartbeat job runs alive 1.4.0 1 london load 1.50 of 4 CPUs, busy 25%, steal 3% 12.5/s 2026-03-03 03:06:07 26 h ago 2026-03-04 05:04:07 2 min ago 2026-03-04 05:09:07 in 3 min 0 uuid-1 02:00:00:00:00:01",
		"Remove broker-2 10.0.0.2 stopped its heartbeat job was cancelled left 1 s ago", "none scheduled",
		"Remove broker-3 10.0.0.3 unavailable 3 heartbeats missed silent for 17 min", "never",
		"The clock of broker-4 (site id 4) is 10 min behind the database's.",
		"Availability met brokers live on 2 hosts Disaster Recovery at risk the database has one address Capacity not met the busiest hour all together 2.0/s",
		"broker-4", "broker-4 (site id 4) stands apart from the other brokers in login_wait.", "differs login_wait",
		"Customize columns", "Refresh every 30 s")
	if strings.Contains(a.body, "http-equiv") || !strings.Contains(b.get("/console/cluster?refresh=on").body, `<meta http-equiv="refresh" content="30">`) {
		t.Error("a page refreshes itself when, and only when, its address says so")
	}
	for _, hidden := range []string{"uuid-1", "02:00:00"} {
		b.cookies[cookieColumns] = "name.status"
		if c := b.get("/console/cluster"); strings.Contains(c.body, hidden) || !strings.Contains(c.body, "broker-1") {
			t.Errorf("columns were not left out: %s", c.text())
		}
	}
}

// TestCustomizeColumns moves, hides and resets columns as a browser without JavaScript does.
func TestCustomizeColumns(t *testing.T) {
	covers.Req(t, "PG1")
	b := newTab(t, newFake(), nil)
	const page = "/console/cluster/columns"
	var order []string
	for _, c := range clusterColumns {
		order = append(order, c.ID)
	}
	heads := func() string {
		m := regexp.MustCompile(`<thead.*</thead>`).FindString(b.get("/console/cluster").body)
		return answer{body: m}.text()
	}
	a := b.post(page, page, url.Values{"order": order, "show": {"name", "status", "uuid"}, "do": {"save"}})
	if a.to() != "/console/cluster" || heads() != "Name Status UUID" {
		t.Errorf("to %q, columns %q", a.to(), heads())
	}
	if note := b.get("/console/cluster"); strings.Contains(note.text(), "were changed") {
		t.Error("the note is shown twice") // heads has taken it
	}
	a = b.post(page, page, url.Values{"order": order, "show": {"name", "status", "uuid"}, "do": {"up:status"}})
	if !strings.HasPrefix(a.to(), page+"?up=status") || !strings.Contains(b.get(a.to()).body, `aria-label="Move Status up" autofocus`) {
		t.Errorf("to %q", a.to())
	}
	b.post(page, page, url.Values{"order": {"status", "ip", "name", "uuid"}, "show": {"name", "status"}, "do": {"down:status"}})
	if got := b.cookies[cookieColumns]; !strings.HasPrefix(got, "-ip.status.name.-uuid.") {
		t.Errorf("kept %q", got)
	}
	if a := b.post(page, page, url.Values{"order": order, "do": {"save"}}); a.status != http.StatusBadRequest {
		t.Errorf("no column at all: %d", a.status)
	}
	b.post(page, page, url.Values{"do": {"reset"}})
	if !strings.HasPrefix(heads(), "Actions Name IP Address Status") {
		t.Errorf("after the reset %q", heads())
	}
}

// TestRemovePage asks before it removes, says what becomes of the jobs, and only offers it for brokers
// that are stopped or unavailable.
func TestRemovePage(t *testing.T) {
	covers.Req(t, "PG4")
	f := newFake()
	f.jobs = []broker.Job{
		{NewJob: broker.NewJob{ID: "a", Kind: "work", For: 3}, State: broker.JobPending},
		{NewJob: broker.NewJob{ID: "b", Kind: "work"}, State: broker.JobPending, RunBy: 3}, // may be run by any
		{NewJob: broker.NewJob{ID: "c", Kind: broker.KindHeartbeat, For: 3}, State: broker.JobPending},
	}
	b := newTab(t, f, newGate(testToken))
	b.signIn()
	if links := regexp.MustCompile(`remove\?site=(\d)`).FindAllStringSubmatch(b.get("/console/cluster").body, -1); len(links) != 2 || links[0][1] != "2" || links[1][1] != "3" {
		t.Errorf("Remove is offered for %v", links)
	}
	a := b.get("/console/cluster/remove?site=3")
	a.needs(t, "Remove broker-3", "site id 3", "unavailable 3 heartbeats missed", "Pending jobs that only it may run go to all other brokers: 1 now", "joins the cluster again by itself", "Keep it")
	if f.asked.Site != 3 || !slices.Equal(f.asked.States, []broker.JobState{broker.JobPending}) {
		t.Errorf("counted by %+v", f.asked)
	}
	running := b.get("/console/cluster/remove?site=1")
	running.needs(t, "Only a stopped or unavailable broker can be removed")
	if strings.Contains(running.body, `action="/console/cluster/remove"`) || len(f.did) > 0 {
		t.Error("a running broker can be removed")
	}
	if done := b.post("/console/cluster/remove?site=3", "/console/cluster/remove", url.Values{"site": {"3"}}); done.to() != "/console/cluster" {
		t.Errorf("%d to %q", done.status, done.to())
	}
	if fmt.Sprint(f.did) != "[remove 3 by the console at 10.9.8.7]" {
		t.Errorf("did %v", f.did)
	}
	b.get("/console/cluster").needs(t, "The broker with site id 3 was removed. 7 of its jobs went to the other brokers.")
}

// TestJobsPage shows the queue with all that JQ1 asks for, and filters, sorts and pages.
func TestJobsPage(t *testing.T) {
	covers.Req(t, "JQ1")
	f := newFake()
	b := newTab(t, f, nil)
	a := b.get("/console/jobs")
	a.needs(t, "System › Job Queue", "pending 2", "running 1", "finished 1", "cancelled 0", "aborted 0",
		"State Scheduled Kind Target Site ID Started Took Result Actions",
		"pending 2026-03-04 05:07:07 in 1 min center scan every 1 h vcenter not run yet never Run now Cancel",
		"running 2026-03-04 05:05:54 13 s ago wait for start pc-7 1 broker-1 2026-03-04 05:05:55 12 s ago 12 s so far Cancel",
		"finished 2026-03-04 04:06:07 1 h ago purge the cluster 2 broker-2 2026-03-04 04:06:07 1 h ago 1 s 12 log rows deleted",
		"heartbeat every 5 min 1 waits for 1 broker-1", "Jobs 1 to 4")
	if strings.Contains(a.body, "behind") {
		t.Error("the queue is not behind")
	}
	f.counts[1].Due = time.Hour // a heartbeat is late when its broker is, and that is another page
	if strings.Contains(b.get("/console/jobs").body, "behind") {
		t.Error("the heartbeat of a dead broker makes the queue late")
	}
	f.counts[0].Due = 3 * time.Minute
	late := b.get("/console/jobs?state=pending&kind=center+scan&site=2&order=kind&up=1")
	late.needs(t, "The queue is behind: the longest waiting job has been due for 3 min.", "Show all")
	want := broker.JobFilter{States: []broker.JobState{broker.JobPending}, Kinds: []string{"center scan"}, Site: 2, Order: broker.JobsByKind, Limit: 51}
	if fmt.Sprint(f.asked) != fmt.Sprint(want) {
		t.Errorf("asked %+v, want %+v", f.asked, want)
	}
	for _, need := range []string{`<option selected>pending</option>`, `<option selected>center scan</option>`, `<option value="2" selected>2 broker-2</option>`, `aria-sort="ascending"`} {
		if !strings.Contains(late.body, need) {
			t.Errorf("the page has no %s", need)
		}
	}
}

func TestJobsPaging(t *testing.T) {
	f := newFake()
	f.jobs = nil
	for i := range 1100 {
		f.jobs = append(f.jobs, broker.Job{NewJob: broker.NewJob{ID: fmt.Sprint("j", i), Kind: "work", Target: fmt.Sprintf("t%04d", i)}, State: broker.JobFinished})
	}
	b := newTab(t, f, nil)
	first := b.get("/console/jobs?kind=work")
	first.needs(t, "Jobs 1 to 50", "t0049", "Next 50")
	if strings.Contains(first.text(), "t0050") || strings.Contains(first.text(), "Previous") {
		t.Error("the first page has too much")
	}
	next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(first.body)
	if next == nil {
		t.Fatal("no link to the next page")
	}
	second := b.get("/console/jobs" + html.UnescapeString(next[1]))
	second.needs(t, "Jobs 51 to 100", "t0050", "Previous 50", "Next 50")
	// Behind the last page of a list that the store makes at most, the next list begins.
	last := b.get("/console/jobs?page=19")
	last.needs(t, "Jobs 901 to 950", "Next 50", "Previous 50")
	next = regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(last.body)
	if next == nil || f.asked.Limit > maxJobs {
		t.Fatalf("the list ends, asked for %d", f.asked.Limit)
	}
	behind := b.get("/console/jobs" + html.UnescapeString(next[1]))
	behind.needs(t, "Jobs 951 to 1000", "t0950", "First 50", "Next 50")
	if f.asked.After != "j949" || strings.Contains(behind.text(), "t0949") {
		t.Errorf("asked for the jobs after %q", f.asked.After)
	}
	next = regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(behind.body)
	b.get("/console/jobs"+html.UnescapeString(next[1])).needs(t, "Jobs 1001 to 1050", "t1000", "Previous 50")
	b.get("/console/jobs?page=3&after=j1080&skip=1081").needs(t, "No job is like that")
	f.jobs = f.jobs[:60]
	b.get("/console/jobs?page=3").needs(t, "No job is like that")
}

// TestJobActs: cancelling asks first and says what it means, and running now is a form.
func TestJobActs(t *testing.T) {
	f := newFake()
	b := newTab(t, f, newGate(testToken))
	b.signIn()
	b.get("/console/jobs/cancel?id=j4").needs(t, "broker-1 (site id 1) becomes Stopped", "goes on serving logins")
	b.get("/console/jobs/cancel?id=j1").needs(t, "This job recurs, and its recurrence ends")
	b.get("/console/jobs/cancel?id=j2").needs(t, "the broker with site id 1 is asked to stop it")
	ended := b.get("/console/jobs/cancel?id=j3")
	ended.needs(t, "can no longer be cancelled")
	if strings.Contains(ended.body, `action="/console/jobs/cancel"`) {
		t.Error("an ended job can be cancelled")
	}
	done := b.post("/console/jobs/cancel?id=j1", "/console/jobs/cancel", url.Values{"id": {"j1"}})
	if done.to() != "/console/jobs/job?id=j1" {
		t.Errorf("%d to %q", done.status, done.to())
	}
	b.get(done.to()).needs(t, "The job center scan of vcenter was cancelled.")
	b.post("/console/jobs", "/console/jobs/run", url.Values{"id": {"j1"}})
	b.get("/console/jobs").needs(t, "The job center scan of vcenter is due now")
	if fmt.Sprint(f.did) != "[cancel j1 by the console at 10.9.8.7 run center scan of vcenter by the console at 10.9.8.7]" {
		t.Errorf("did %q", f.did)
	}
}

func TestRunnable(t *testing.T) {
	at := epoch()
	for _, c := range []struct {
		j    broker.Job
		want bool
	}{
		{broker.Job{NewJob: broker.NewJob{Every: time.Hour}, State: broker.JobPending, RunAt: at.Add(time.Second)}, true},
		{broker.Job{NewJob: broker.NewJob{Every: time.Hour}, State: broker.JobPending, RunAt: at}, false}, // due already
		{broker.Job{State: broker.JobPending, RunAt: at.Add(time.Second)}, false},                         // its maker chose the time
		{broker.Job{NewJob: broker.NewJob{Every: time.Hour}, State: broker.JobRunning}, false},
		{broker.Job{NewJob: broker.NewJob{Every: time.Hour}, State: broker.JobCancelled}, true},
		{broker.Job{NewJob: broker.NewJob{Every: time.Hour, Kind: broker.KindHeartbeat}, State: broker.JobCancelled}, false},
	} {
		if got := runnable(c.j, at); got != c.want {
			t.Errorf("%+v: %v", c.j, got)
		}
	}
}

// TestNamesAreEscaped: what brokers, desktops and jobs are called, and what their results say, is
// text and never a part of a page.
func TestNamesAreEscaped(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'&amp;`
	f := newFake()
	for i := range f.brokers {
		n := &f.brokers[i]
		n.Name, n.Datacenter, n.Version, n.IP, n.MAC, n.UUID, n.Reason, n.Report, n.Fingerprint = evil, evil, evil, evil, evil, evil, evil, evil, evil+fmt.Sprint(":", i)
	}
	for i := range f.jobs {
		j := &f.jobs[i]
		j.Kind, j.Target, j.Payload, j.Result, j.Error = evil, evil, evil, evil, ""
	}
	f.jobs[1].ID, f.jobs[1].Error = `j2"><script>`, evil
	f.counts[0].Kind = evil
	b := newTab(t, f, nil)
	b.cookies[cookieColumns] = strings.ReplaceAll(formatColumns(clusterColumns), "-", "")
	for _, path := range []string{"/console/cluster", "/console/cluster/remove?site=2", "/console/jobs", "/console/jobs?kind=" + url.QueryEscape(evil), "/console/jobs/job?id=j1", "/console/jobs/cancel?id=j1", "/console/jobs/cancel?id=" + url.QueryEscape(f.jobs[1].ID), "/console/jobs?state=" + url.QueryEscape(evil), "/console/nothing?" + url.QueryEscape(evil)} {
		a := b.get(path)
		if strings.Contains(a.body, "<script") || strings.Contains(a.body, "<img") || strings.Contains(a.body, `"><`+"script") {
			t.Errorf("%s: a name became a part of the page:\n%s", path, a.body)
		}
	}
	b.post("/console/jobs", "/console/jobs/run", url.Values{"id": {"j1"}})
	if a := b.get("/console/jobs"); strings.Contains(a.body, "<script") || !strings.Contains(a.text(), "is due now") {
		t.Error("a note became a part of the page")
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "now", 400 * time.Millisecond: "now", -400 * time.Millisecond: "now", time.Second: "1 s ago", 59 * time.Second: "59 s ago", -time.Minute: "in 1 min",
		90 * time.Minute: "1 h 30 min ago", 47*time.Hour + 59*time.Minute: "47 h 59 min ago", 72 * time.Hour: "3 days ago",
	} {
		if got := ago(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
