package broker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// rivalWorld is one broker with a setup of its own among fake other clusters.
type rivalWorld struct {
	t   *testing.T
	b   *Broker
	r   *Rivals
	reg *prometheus.Registry

	mu     sync.Mutex
	others map[string][]string // hosts by cluster; nil: it does not answer
	asked  int
	log    bytes.Buffer
}

func (w *rivalWorld) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func inRivalWorld(t *testing.T, f func(*rivalWorld)) {
	synctest.Test(t, func(t *testing.T) {
		w := &rivalWorld{t: t, b: &Broker{}, reg: prometheus.NewPedanticRegistry(), others: make(map[string][]string)}
		w.setup(1)
		r, err := NewRivals(RivalsOptions{
			Broker: w.b, Clusters: w.clusters, Ask: w.ask, Metrics: w.reg,
			Log: slog.New(slog.NewTextHandler(w, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.r = r
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		f(w)
	})
}

func (w *rivalWorld) setup(version int64, hosts ...string) {
	w.b.table.Store(&table{version: version, setup: Setup{Desktops: desktopsOn(hosts...)}})
}

func (w *rivalWorld) cluster(name string, hosts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.others[name] = hosts
}

func (w *rivalWorld) clusters() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, name := range []string{"eu", "us"} {
		if _, ok := w.others[name]; ok {
			out = append(out, name)
		}
	}
	return out
}

func (w *rivalWorld) ask(_ context.Context, cluster string, q ResourceQuestion) (ResourcePage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	hosts := w.others[cluster]
	if hosts == nil {
		return ResourcePage{}, errors.New("no route")
	}
	if hosts[0] == "broken" {
		return ResourcePage{Fingerprints: []byte("?")}, nil
	}
	return pageOf(resourcesOf(desktopsOn(hosts...)), q, 1) // a page for each
}

// after lets the time pass and compares the conflicts.
func (w *rivalWorld) after(d time.Duration, want ...string) {
	w.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	var got []string
	for _, c := range w.r.Conflicts() {
		got = append(got, c.Cluster+"/"+c.Desktop)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		w.t.Errorf("conflicts %v, want %v", got, want)
	}
}

func (w *rivalWorld) told(text string, times int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := strings.Count(w.log.String(), text); n != times {
		w.t.Errorf("%q is logged %d times, want %d:\n%s", text, n, times, w.log.String())
	}
}

const warned = "a desktop is in another cluster too"

func TestRivalsFollowBothSides(t *testing.T) {
	inRivalWorld(t, func(w *rivalWorld) {
		w.cluster("us", "a", "b")
		w.setup(2, "x", "y")
		w.after(2 * time.Second)
		w.setup(3, "x", "B") // the own setup: at once
		w.after(2*time.Second, "us/d1")
		w.told(warned, 1)
		w.cluster("eu", "x", "z") // another one: with the next round
		w.after(5*time.Minute, "eu/d0", "us/d1")
		if err := testutil.GatherAndCompare(w.reg, strings.NewReader(`
# HELP switchpoint_broker_resource_conflicts Desktops whose machine another cluster manages too.
# TYPE switchpoint_broker_resource_conflicts gauge
switchpoint_broker_resource_conflicts{cluster="eu"} 1
switchpoint_broker_resource_conflicts{cluster="us"} 1
`)); err != nil {
			t.Error(err)
		}
		w.after(time.Hour, "eu/d0", "us/d1")
		w.told(warned, 2) // once each, however often they are seen
		w.cluster("us", "a")
		w.after(5*time.Minute, "eu/d0")
		w.told("no longer in both clusters", 1)
		w.mu.Lock()
		delete(w.others, "eu") // its peers are not trusted any more
		w.mu.Unlock()
		w.after(5 * time.Minute)
		if n := testutil.CollectAndCount(w.r.count); n != 1 {
			t.Errorf("%d values are left", n)
		}
	})
}

func TestRivalsThatDoNotAnswer(t *testing.T) {
	inRivalWorld(t, func(w *rivalWorld) {
		w.setup(2, "x")
		w.cluster("us", "x")
		w.cluster("eu", "broken")
		w.after(2*time.Second, "us/d0") // one that answers badly does not stand in the way
		w.told("the answer is not usable", 1)
		w.cluster("us")
		w.after(10*time.Minute, "us/d0") // the last that is known stays
		w.told("does not say which desktops it manages", 2)
		w.cluster("us", "a")
		w.cluster("eu", "b")
		w.after(31 * time.Second) // asked again soon
		w.told("says again", 2)
		w.mu.Lock()
		before := w.asked
		w.mu.Unlock()
		w.after(time.Hour)
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := w.asked - before; n < 22 || n > 26 { // two clusters, every five minutes
			t.Errorf("%d questions in an hour", n)
		}
	})
}

func TestManyConflictsDoNotFloodTheLog(t *testing.T) {
	inRivalWorld(t, func(w *rivalWorld) {
		hosts := make([]string, 100)
		for i := range hosts {
			hosts[i] = "h" + strings.Repeat("x", i)
		}
		w.cluster("us", hosts...)
		w.setup(2, hosts...)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(w.r.Conflicts()); n != 100 {
			t.Errorf("%d conflicts", n)
		}
		w.told(warned, rivalsTold)
		w.told("more=80", 1)
	})
}
