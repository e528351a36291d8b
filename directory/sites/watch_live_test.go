package sites

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// journal is a log that a test can look into while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.buf.String(), text)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// start runs a watcher until the test or the returned func ends it.
func start(t *testing.T, w *Watcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func gauge(t *testing.T, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestLiveWatcher follows the changes of a real domain controller.
func TestLiveWatcher(t *testing.T) {
	f := newForest(t)
	dir := t.TempDir()
	config := f.config()
	told := make(chan *Set, 10)
	var log journal
	reg := prometheus.NewPedanticRegistry()
	w, err := New(Options{
		Config: &config, Refresh: 50 * time.Millisecond, ApproveAbove: 10, StateDir: dir,
		Log: log.logger(), Metrics: reg, Changed: func(s *Set) { told <- s },
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.Current() != nil {
		t.Fatal("a set before the first poll")
	}
	stop := start(t, w)

	// The first import is taken whatever its size.
	if set := <-told; len(set.c.Subnets) != 200 || siteOf(set, "10.5.200.1") != "Prague" {
		t.Fatalf("first import: %d subnets", len(set.c.Subnets))
	}
	subnets := ourSubnets()[2:] // 10.0.0.0/16 and on
	f.move("Vienna", subnets[5])
	if set := <-told; siteOf(set, "10.5.200.1") != "Vienna" || set != w.Current() {
		t.Errorf("after the move of 10.5.0.0/16 it is in %s", siteOf(set, "10.5.200.1"))
	}

	// More than ten subnets wait for approval; when they go back meanwhile, nothing waits any more.
	many := slices.DeleteFunc(slices.Clone(subnets[50:70]), func(s Subnet) bool { return s.Site == "Brno" })
	f.move("Brno", many...)
	eventually(t, "the change waits", func() bool { return w.Status().Pending == len(many) })
	first := w.Status()
	eventually(t, "another poll", func() bool { return w.Status().Polled.After(first.Polled) })
	changes, ok := w.Pending()
	if !ok || len(changes.Moved) != len(many) || changes.ID() != first.PendingID ||
		!slices.Contains(changes.Lines(), "subnet 10.52.0.0/16 moved from site Vienna to site Brno") {
		t.Errorf("%v waits: %q", ok, changes.Lines())
	}
	if siteOf(w.Current(), "10.52.1.1") != "Vienna" || gauge(t, reg, "switchpoint_ad_sites_pending_changes") != float64(len(many)) {
		t.Error("a change that waits is in use, or does not count")
	}
	f.put(many...)
	eventually(t, "nothing waits", func() bool { return w.Status().PendingID == "" })
	if err := w.Approve(""); !errors.Is(err, ErrNothingPending) {
		t.Errorf("Approve of nothing: %v", err)
	}

	f.move("Brno", many...)
	eventually(t, "the change waits again", func() bool { return w.Status().Pending == len(many) })
	if err := w.Approve("0000"); err == nil || !strings.Contains(err.Error(), first.PendingID+" does") {
		t.Errorf("Approve of something else: %v", err)
	}
	if err := w.Approve(first.PendingID); err != nil {
		t.Error(err)
	}
	if set := <-told; siteOf(set, "10.52.1.1") != "Brno" || set != w.Current() || w.Status().Pending != 0 {
		t.Errorf("after the approval 10.52.0.0/16 is in %s", siteOf(set, "10.52.1.1"))
	}
	if n := log.count("waits for approval"); n != 2 {
		t.Errorf("the log tells %d times that a change waits, want 2", n)
	}

	// The directory fails: the copy stays, and one error is told once.
	f.Stop()
	const refused = "connection refused"
	failed := func() float64 { return testutil.ToFloat64(w.metrics.failed) }
	eventually(t, "polls fail", func() bool { return strings.Contains(w.Status().Failure, refused) })
	before := failed()
	eventually(t, "three more polls fail", func() bool { return failed() >= before+3 })
	if n := log.count(refused); n != 1 || log.count("the last good copy stays in use") == 0 {
		t.Errorf("the log tells %d times that the connection was refused", n)
	}
	if siteOf(w.Current(), "10.52.1.1") != "Brno" || gauge(t, reg, "switchpoint_ad_sites_subnets") != 200 ||
		gauge(t, reg, "switchpoint_ad_sites_age_seconds") <= 0 {
		t.Error("the copy is lost with the directory")
	}
	stop()
	f.testRestart(t, dir, many)
}

// testRestart begins with the directory down and a copy in dir.
func (f *forest) testRestart(t *testing.T, dir string, many []Subnet) {
	config := f.config()
	var log journal
	w, err := New(Options{Config: &config, Refresh: 50 * time.Millisecond, ApproveAbove: 10, StateDir: dir, Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if set := w.Current(); set == nil || siteOf(set, "10.52.1.1") != "Brno" || set.Source() != f.TLSURL {
		t.Fatalf("the copy of the run before: %v", set)
	}
	start(t, w)
	eventually(t, "a poll fails", func() bool { return w.Status().Failure != "" })
	f.Start()
	eventually(t, "polls are good again", func() bool { return w.Status().Failure == "" })
	if log.count("can be read again") != 1 {
		t.Error("the log does not tell that the directory is back")
	}
	f.move("NewYork", many...)
	eventually(t, "the change waits", func() bool { return w.Status().Pending == len(many) })
}
