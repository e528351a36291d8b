package jobs

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(child(path))
	}
	goleak.VerifyTestMain(m)
}

// cluster is one database with the workers that a test starts on it.
type cluster struct {
	t    *testing.T
	path string
}

func newCluster(t *testing.T) *cluster {
	return &cluster{t: t, path: filepath.Join(t.TempDir(), "broker.db")}
}

func (c *cluster) store() *sqlite.Store {
	c.t.Helper()
	s, err := sqlite.Open(c.t.Context(), c.path, sqlite.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { s.Close() })
	return s
}

func join(ctx context.Context, s broker.Store, site int) (broker.Membership, error) {
	n := broker.Node{Name: "broker-" + string(rune('0'+site)), SiteID: site, Version: "1", Booted: time.Now()}
	return s.Join(ctx, n, broker.Cluster{Name: "uk"}, time.Minute)
}

// calm is a machine with nothing to do.
func calm() (float64, error) { return 0, nil }

// options are those of a worker that polls quickly.
func options(s broker.Store, m broker.Membership) Options {
	return Options{
		Store: s, Member: func() broker.Membership { return m }, LoadAverage: calm,
		HeartbeatEvery: time.Hour, Poll: 10 * time.Millisecond, Lease: 20 * time.Second,
	}
}

// working is a worker under Run.
type working struct {
	*Worker
	store  broker.Store
	member broker.Membership
	stop   func()
}

// start runs a worker of the site id with a handler for kind "work"; change may alter its options.
func (c *cluster) start(site int, work Handler, change func(*Options)) *working {
	c.t.Helper()
	s := c.store()
	m, err := join(c.t.Context(), s, site)
	if err != nil {
		c.t.Fatal(err)
	}
	o := options(s, m)
	if change != nil {
		change(&o)
	}
	w, err := New(o)
	if err != nil {
		c.t.Fatal(err)
	}
	w.Handle("work", work)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	r := &working{Worker: w, store: s, member: m}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Error(err)
		}
	})
	c.t.Cleanup(r.stop)
	return r
}

// add puts one job into the queue.
func (w *working) add(t *testing.T, j broker.NewJob) string {
	t.Helper()
	j.Kind = "work"
	added, err := w.store.AddJobs(t.Context(), broker.WithIDs([]broker.NewJob{j}))
	if err != nil {
		t.Fatal(err)
	}
	return added[0].ID
}

func (w *working) job(t *testing.T, id string) broker.Job {
	t.Helper()
	list, err := w.store.Jobs(t.Context(), broker.JobFilter{ID: id})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0]
}

// awaitState waits until the job is in the state.
func (w *working) awaitState(t *testing.T, id string, want broker.JobState) broker.Job {
	t.Helper()
	var j broker.Job
	eventually(t, "the job is "+string(want), func() bool { j = w.job(t, id); return j.State == want })
	return j
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
