package admin

import (
	"context"
	"database/sql"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"switchpoint/broker"
	"switchpoint/broker/jobs"
	"switchpoint/broker/sqlite"
	"switchpoint/internal/realserver"
)

// liveCluster is a cluster on SQLite: brokers 1 and 2 run in this process, broker 3 was stopped,
// and nobody has heard of broker 4 for a while. The queue has jobs in every state.
type liveCluster struct {
	t     *testing.T
	path  string
	one   *broker.Broker
	store *sqlite.Store
}

func newLiveCluster(t *testing.T) *liveCluster {
	t.Helper()
	c := &liveCluster{t: t, path: filepath.Join(t.TempDir(), "broker.db")}
	c.store = c.open()
	c.one = c.start(1)
	two := c.start(2)
	c.work(c.one)
	c.work(two)
	for site := 3; site <= 4; site++ {
		m := c.join(site)
		c.add(broker.HeartbeatJob(site, broker.HeartbeatEvery))
		c.must(c.store.RecordHeartbeat(t.Context(), m, "serves logins, 0 of 64 places taken, setup version 1"))
		if site == 3 {
			c.must(c.store.Leave(t.Context(), m))
		}
	}
	c.fillQueue(two)
	c.age()
	return c
}

func (c *liveCluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *liveCluster) open() *sqlite.Store {
	c.t.Helper()
	s, err := sqlite.Open(c.t.Context(), c.path, sqlite.Options{})
	c.must(err)
	c.t.Cleanup(func() { _ = s.Close() })
	return s
}

// run runs something until the test ends.
func (c *liveCluster) run(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Error(err)
		}
	})
}

func (c *liveCluster) node(site int) broker.Node {
	n := strconv.Itoa(site)
	config := broker.Config{Cluster: "ny", SiteID: site, Listen: []string{"127.0.0.1:0"}}
	if site == 4 {
		config.LoginDeadline = 42 * time.Second
	}
	return broker.Node{
		Name: "ny-broker-" + n, Datacenter: "new-york", Version: "1.4.0", SiteID: site, IP: "10.20.0.1" + n, MAC: "52:54:00:1c:0e:0" + n,
		UUID: "7d1f3c0a-52b4-4e0f-9a37-6f0c2d5be10" + n, Booted: time.Now().Add(-time.Duration(site) * 31 * time.Hour), Fingerprint: config.Fingerprint("1.4.0"),
	}
}

// start is a broker of this process that lives until the test ends.
func (c *liveCluster) start(site int) *broker.Broker {
	c.t.Helper()
	n := c.node(site)
	b, err := broker.New(c.t.Context(), broker.Options{
		Config: broker.Config{Cluster: "ny", SiteID: site, Listen: []string{"127.0.0.1:0"}}, Store: c.open(),
		Name: n.Name, Datacenter: n.Datacenter, Version: n.Version, IP: n.IP, MAC: n.MAC, UUID: n.UUID, Booted: n.Booted, Fingerprint: n.Fingerprint,
	})
	c.must(err)
	c.run(b.Run)
	return b
}

// work makes the broker work off the queue.
func (c *liveCluster) work(b *broker.Broker) {
	c.t.Helper()
	w, err := jobs.New(jobs.Options{
		Store: c.open(), Member: b.Member, Added: b.JobAdded(), Check: b.CheckSelf, Poll: 50 * time.Millisecond,
		LoadAverage: func() (float64, error) { return 0.21, nil },
	})
	c.must(err)
	c.run(w.Run)
	c.until("the heartbeat of "+strconv.Itoa(b.Node().SiteID)+" is there", func() bool {
		list, err := b.Brokers(c.t.Context())
		c.must(err)
		for _, n := range list {
			if n.SiteID == b.Node().SiteID {
				return !n.LastHeartbeat.IsZero()
			}
		}
		return false
	})
}

func (c *liveCluster) join(site int) broker.Membership {
	c.t.Helper()
	m, err := c.store.Join(c.t.Context(), c.node(site), broker.Cluster{Name: "ny"}, broker.Liveness)
	c.must(err)
	return m
}

func (c *liveCluster) add(list ...broker.NewJob) []broker.AddedJob {
	c.t.Helper()
	added, err := c.store.AddJobs(c.t.Context(), broker.WithIDs(list))
	c.must(err)
	return added
}

// fillQueue brings jobs that no worker here knows into every state, for the broker b.
func (c *liveCluster) fillQueue(b *broker.Broker) {
	c.t.Helper()
	c.add(broker.NewJob{Kind: "desktop check", Target: "ny-dev-017"}, broker.NewJob{Kind: "desktop check", Target: "ny-dev-018"}, broker.NewJob{Kind: "desktop check", Target: "ny-dev-019"})
	got, err := c.store.ClaimJobs(c.t.Context(), broker.JobClaim{Member: b.Member(), Kinds: []string{"desktop check"}, Max: 3, Lease: time.Hour})
	c.must(err)
	if len(got.Jobs) != 3 {
		c.t.Fatalf("claimed %d jobs", len(got.Jobs))
	}
	ends := []broker.JobEnd{
		{How: broker.JobFinished, Result: "answers on 3389 after 4 ms"},
		{How: broker.JobAborted, Error: "dial tcp 10.20.4.18:3389: connect: connection refused"},
	}
	for i := range ends {
		ends[i].JobRun = broker.JobRun{ID: got.Jobs[i].ID, Run: got.Jobs[i].Run}
	}
	lost, err := c.store.EndJobs(c.t.Context(), b.Member(), ends)
	c.must(err)
	if len(lost) > 0 {
		c.t.Fatalf("lost %v", lost)
	}
	c.add(broker.NewJob{Kind: "center scan", Target: "vcenter-ny", Every: time.Hour, After: 41 * time.Minute},
		broker.NewJob{Kind: "center scan", Target: "azure-east", Every: time.Hour, After: 12 * time.Minute},
		broker.NewJob{Kind: "wait_for_start", Target: "ny-dev-022", For: 4, After: 90 * time.Second})
	id := c.add(broker.NewJob{Kind: "center scan", Target: "lab", Every: time.Hour, After: time.Minute})[0].ID
	_, err = c.store.CancelJob(c.t.Context(), id, "anna")
	c.must(err)
}

// age makes what has just been written older, as only time can: broker 4 has been silent for 17
// minutes, broker 3 was stopped two days ago, and the jobs took their time.
func (c *liveCluster) age() {
	c.t.Helper()
	db, err := sql.Open("sqlite", c.path+"?_pragma=busy_timeout(10000)")
	c.must(err)
	defer func() { _ = db.Close() }()
	for _, q := range []string{
		`UPDATE broker SET heartbeat_at = heartbeat_at - 1047000, reported_at = reported_at - 1200000 WHERE site_id = 4`,
		`UPDATE job SET run_at = run_at - 927000 WHERE kind = 'heartbeat' AND target = '4' AND state = 'pending'`,
		`UPDATE broker SET heartbeat_at = heartbeat_at - 180000000, stopped_at = stopped_at - 180000000, reported_at = reported_at - 180100000 WHERE site_id = 3`,
		`UPDATE job SET started_at = started_at - 38000, run_at = run_at - 39000 WHERE kind = 'desktop check'`,
		`UPDATE job SET ended_at = started_at + 1 + length(target || result || error) * 37 WHERE kind = 'desktop check' AND ended_at IS NOT NULL`,
	} {
		_, err := db.ExecContext(c.t.Context(), q)
		c.must(err)
	}
}

// site is the one broker of the list with that id.
func (c *liveCluster) site(site int) (broker.NodeStatus, bool) {
	c.t.Helper()
	list, err := c.one.Brokers(c.t.Context())
	c.must(err)
	for _, b := range list {
		if b.SiteID == site {
			return b, true
		}
	}
	return broker.NodeStatus{}, false
}

func (c *liveCluster) until(what string, cond func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// serve brings up the admin endpoints of broker 1 with its console and returns their address.
func (c *liveCluster) serve(o Options) (s *Server, cert string) {
	c.t.Helper()
	cert, key, _ := certificate(c.t)
	token := filepath.Join(c.t.TempDir(), "token")
	c.must(os.WriteFile(token, []byte(testToken), 0o600))
	b := c.one
	o.Name, o.Log = b.Node().Name, slog.New(slog.DiscardHandler)
	o.Config = Config{Listen: "127.0.0.1:0", Cert: cert, Key: key, TokenFile: token}
	o.Pages = ClusterPages(Cluster{
		Name: b.Cluster(), SiteID: b.Node().SiteID, Brokers: b.Brokers, RemoveBroker: b.RemoveBroker, Goals: b.Goals,
		Jobs: b.Jobs, JobCounts: b.JobCounts, CancelJob: b.CancelJob, RunJobs: b.RunJobs,
	})
	return start(c.t, o), cert
}

// window is a tab of a real browser in which scripts are switched off.
type window struct {
	t    *testing.T
	ctx  context.Context
	base string
}

func newWindow(t *testing.T, cert, base string) *window {
	t.Helper()
	b := realserver.Chromium(t, realserver.ChromiumOptions{TrustCert: cert})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	ctx, cancelAllocator := remote.NewAllocator(ctx, b.URL, remote.NoModifyURL)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { cancelTab(); cancelAllocator(); cancel() })
	w := &window{t: t, ctx: ctx, base: base}
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	w.size(1440, 900)
	return w
}

func (w *window) do(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, steps...); err != nil {
		w.t.Fatalf("%v\n%s", err, w.text())
	}
}

func (w *window) size(width, height int64) {
	w.t.Helper()
	w.do(chromedp.EmulateViewport(width, height))
}

func (w *window) open(path string) { w.t.Helper(); w.do(chromedp.Navigate(w.base + path)) }

// press does what leads to another page and fails unless that is a good one.
func (w *window) press(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	w.expect(http.StatusOK, steps...)
}

func (w *window) expect(status int64, steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	res, err := chromedp.RunResponse(w.ctx, steps...)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.text())
	}
	if res.Status != status {
		w.t.Fatalf("status %d\n%s", res.Status, w.text())
	}
}

func (w *window) click(selector string) {
	w.t.Helper()
	w.press(chromedp.Click(chromedp.CSS(selector)))
}

func (w *window) text() string {
	text, err := chromedp.Run(w.ctx, chromedp.Text(chromedp.CSS("body")))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(text), " ")
}

func (w *window) needs(parts ...string) {
	w.t.Helper()
	text := w.text()
	for _, p := range parts {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(p)) {
			w.t.Errorf("the page has no %q:\n%s", p, text)
		}
	}
}

// stands waits until the keyboard stands on the element whose attribute has the value: a browser
// obeys autofocus with the page's first picture, which may come after the page was loaded.
func (w *window) stands(attribute, value string) {
	w.t.Helper()
	where := func() string {
		return js[string](w, `document.activeElement?.getAttribute("`+attribute+`") ?? "nothing"`)
	}
	on := where()
	for deadline := time.Now().Add(30 * time.Second); on != value; on = where() {
		if time.Now().After(deadline) {
			w.t.Fatalf("the keyboard stands on %q, want %q", on, value)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// js asks the browser itself; the page's own scripts stay off.
func js[T any](w *window, expression string) T {
	w.t.Helper()
	v, err := chromedp.Run(w.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// clusterLog is what the log of the cluster says of operators.
func clusterLog(t *testing.T, c *liveCluster) string {
	t.Helper()
	db, err := sql.Open("sqlite", c.path+"?_pragma=busy_timeout(10000)")
	c.must(err)
	defer func() { _ = db.Close() }()
	var text string
	c.must(db.QueryRowContext(t.Context(), `SELECT group_concat(reason, char(10)) FROM log WHERE kind = ?`, broker.LogCluster).Scan(&text))
	return text
}

// throughSocket hands requests to the socket as they came.
func throughSocket(t *testing.T, socket string) http.Handler {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "node", r.In.Host
	}}
}
