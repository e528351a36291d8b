package admin

import (
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

var update = flag.Bool("update", false, "write the pictures of docs/console.md anew")

// TestConsoleInABrowser clicks through the console in a real browser without JavaScript, against
// brokers on a real database.
func TestConsoleInABrowser(t *testing.T) {
	covers.Req(t, "PG1", "PG4", "JQ1", "LV2")
	c := newLiveCluster(t)
	s, cert := c.serve(options(t))
	w := newWindow(t, cert, "https://"+s.Addr().String())

	w.open("/console/jobs")
	w.needs("Sign in", "Admin token of this node")
	w.stands("id", "token")
	w.expect(http.StatusUnauthorized, chromedp.KeyEvent("wrong"), chromedp.KeyEvent(kb.Enter))
	w.needs("That is not the token of this node")
	w.stands("id", "token")
	w.press(chromedp.KeyEvent(testToken), chromedp.KeyEvent(kb.Enter))
	w.needs("Job Queue", "pending", "vcenter-ny", "connection refused", "cancelled by anna")
	if js[string](w, `document.cookie`) != "" {
		t.Error("a script could read a cookie")
	}

	w.click(`nav a[href="/console/cluster"]`)
	w.needs("Cluster Management", "ny-broker-1", "ny-broker-4", "unavailable", "3 heartbeats missed", "silent for 17 min", "stands apart from the other brokers in login_deadline")
	pictures(t, w, "cluster-management")
	w.open("/console/jobs")
	pictures(t, w, "job-queue")

	chooseColumns(t, w)
	removeBroker(t, w, c)
	cancelJobs(t, w, c)

	w.click(`header button`) // sign out
	w.needs("Sign in")
	w.open("/console/cluster")
	w.needs("Admin token of this node")
}

// chooseColumns makes the table another one, by the keyboard.
func chooseColumns(t *testing.T, w *window) {
	t.Helper()
	w.open("/console/cluster")
	heads := func() string {
		return js[string](w, `[...document.querySelectorAll("th")].map(e => e.innerText).join()`)
	}
	before := heads()
	w.click(`a[href="/console/cluster/columns"]`)
	w.click(`#c-status button[value="up:status"]`)
	w.stands("aria-label", "Move Status up")
	w.press(chromedp.KeyEvent(kb.Enter)) // once more
	w.do(chromedp.Click(chromedp.CSS(`#c-uuid input[type=checkbox]`)), chromedp.Click(chromedp.CSS(`#c-live input[type=checkbox]`)))
	w.click(`button[value="save"]`)
	w.needs("The columns were changed in this browser")
	after := heads()
	if !strings.HasPrefix(before, "Actions,Name,IP Address,Status,Live") || !strings.HasPrefix(after, "Actions,Status,Name,IP Address,Version") || !strings.HasSuffix(after, "UUID") {
		t.Errorf("columns %q, then %q", before, after)
	}
	w.open("/console/cluster/columns")
	w.click(`button[value="reset"]`)
	if heads() != before {
		t.Errorf("after the reset %q", heads())
	}
}

// removeBroker removes the stopped broker and the unavailable one; its jobs go to the others.
func removeBroker(t *testing.T, w *window, c *liveCluster) {
	t.Helper()
	w.open("/console/cluster")
	if n := js[int](w, `document.querySelectorAll('a[href*="/remove?"]').length`); n != 2 {
		t.Errorf("%d brokers can be removed, want those that do not run", n)
	}
	w.click(`a[href="/console/cluster/remove?site=3"]`)
	w.needs("Remove ny-broker-3", "What removing it does")
	if _, there := c.site(3); !there {
		t.Fatal("asking has removed it")
	}
	w.click(`button.danger`)
	w.needs("The broker with site id 3 was removed")
	w.click(`a[href="/console/cluster/remove?site=4"]`)
	w.needs("go to all other brokers: 1 now")
	w.click(`button.danger`)
	w.needs("The broker with site id 4 was removed. 1 of its jobs went to the other brokers.")
	for site := 3; site <= 4; site++ {
		if _, there := c.site(site); there {
			t.Errorf("broker %d is still there", site)
		}
	}
	jobs, err := c.one.Jobs(t.Context(), broker.JobFilter{Kinds: []string{"wait_for_start"}})
	if err != nil || len(jobs) != 1 || jobs[0].For != 0 {
		t.Errorf("its job is %+v, %v", jobs, err)
	}
}

// cancelJobs cancels a recurring job and brings it back, then stops broker 2 by cancelling its
// heartbeat; all of it stands in the cluster's log with who did it.
func cancelJobs(t *testing.T, w *window, c *liveCluster) {
	t.Helper()
	w.open("/console/jobs")
	w.do(chromedp.SetValue(chromedp.CSS("#kind"), "center scan"), chromedp.SetValue(chromedp.CSS("#order"), "target"), chromedp.Click(chromedp.CSS(`input[name=up]`)))
	w.click(".filter button")
	w.needs("azure-east", "lab", "vcenter-ny", "Jobs 1 to 3")
	w.click(`tbody tr:nth-child(1) a[href*="/cancel?"]`)
	w.needs("What cancelling it means", "its recurrence ends")
	w.click(`button.danger`)
	w.needs("The job center scan of azure-east was cancelled", "cancelled by the console at 127.0.0.1")
	w.click(`form[action="/console/jobs/run"] button`)
	w.needs("The job center scan of azure-east is due now", "pending")

	w.open("/console/jobs?kind=heartbeat&site=2&state=pending")
	w.click(`a[href*="/cancel?"]`)
	w.needs("ny-broker-2 (site id 2) becomes Stopped")
	w.click(`button.danger`)
	if two, _ := c.site(2); two.Status != broker.StatusStopped {
		t.Errorf("broker 2 is %s", two.Status)
	}
	rows := clusterLog(t, c)
	for _, need := range []string{
		"the console at 127.0.0.1 has removed the broker with site id 3", "the console at 127.0.0.1 has removed the broker with site id 4",
		"the console at 127.0.0.1 has cancelled the center scan job azure-east", "the console at 127.0.0.1 has made 1 center scan jobs azure-east due now",
		"the console at 127.0.0.1 has cancelled the heartbeat job 2",
	} {
		if !strings.Contains(rows, need) {
			t.Errorf("the log has no %q:\n%s", need, rows)
		}
	}
}

// TestNoPageOverflowsAPhone: nothing is wider than the window, on the smallest phones too.
func TestNoPageOverflowsAPhone(t *testing.T) {
	c := newLiveCluster(t)
	c.add(broker.NewJob{Kind: "desktop check", Target: `"><script>document.title="owned"</script>` + strings.Repeat("a-very-long-name-", 20)})
	s, cert := c.serve(options(t))
	w := newWindow(t, cert, "https://"+s.Addr().String())
	w.size(320, 640)
	w.open("/console/signin")
	w.stands("id", "token")
	w.press(chromedp.KeyEvent(testToken), chromedp.KeyEvent(kb.Enter))
	list, err := c.one.Jobs(t.Context(), broker.JobFilter{Kinds: []string{"desktop check"}, States: []broker.JobState{broker.JobPending}})
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, path := range []string{"/console/signin", "/console/cluster", "/console/cluster/columns", "/console/cluster/remove?site=3", "/console/jobs", "/console/jobs?state=aborted", "/console/jobs/job?id=" + list[0].ID, "/console/jobs/cancel?id=" + list[0].ID, "/console/nothing"} {
		w.open(path)
		if wide := js[int](w, `document.documentElement.scrollWidth`); wide > 320 {
			t.Errorf("%s is %d pixels wide, by %s", path, wide, js[string](w, `[...document.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > 320).map(e => e.tagName + "." + e.className).join()`))
		}
		if title := js[string](w, `document.title`); strings.Contains(title, "owned") || !strings.Contains(title, "Switchpoint") {
			t.Errorf("%s has the title %q", path, title)
		}
	}
}

// TestConsoleThroughAForwardedSocket: the way for who has a shell on the node and no listener: the
// socket forwarded to a port of the own machine. Forms work there too, though it is no HTTPS.
func TestConsoleThroughAForwardedSocket(t *testing.T) {
	c := newLiveCluster(t)
	o := options(t)
	_, cert := c.serve(o)
	w := newWindow(t, cert, "http://"+forward(t, o.Socket))
	w.open("/console/")
	w.needs("Cluster Management", "ny-broker-1")
	w.click(`a[href="/console/cluster/remove?site=3"]`)
	w.click(`button.danger`)
	w.needs("The broker with site id 3 was removed")
	if rows := clusterLog(t, c); !strings.Contains(rows, "the console on the admin socket has removed the broker with site id 3") {
		t.Errorf("the log: %s", rows)
	}
}

// forward takes connections on a port and gives them to the socket, as ssh -L does.
func forward(t *testing.T, socket string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: throughSocket(t, socket)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return l.Addr().String()
}

// pictures looks at the page as on a desk and as on a phone, and keeps both when told to: all of it,
// and what a phone shows at first.
func pictures(t *testing.T, w *window, name string) {
	t.Helper()
	for _, look := range []struct {
		suffix               string
		width, height, scale int64
		take                 chromedp.Action[[]byte]
	}{
		{"", 1440, 600, 1, chromedp.FullScreenshot(100)},
		{"-phone", 390, 844, 2, chromedp.CaptureScreenshot()},
	} {
		w.do(chromedp.EmulateViewport(look.width, look.height, chromedp.EmulateScale(float64(look.scale))))
		if wide := js[int64](w, `document.documentElement.scrollWidth`); wide > look.width {
			t.Errorf("%s is %d pixels wide in a window of %d", name, wide, look.width)
		}
		picture, err := chromedp.Run(w.ctx, look.take)
		if err != nil || len(picture) == 0 {
			t.Fatalf("a picture of %s: %v", name, err)
		}
		if *update {
			if err := os.WriteFile(filepath.Join("..", "docs", "img", name+look.suffix+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.size(1440, 900)
}
