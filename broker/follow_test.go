package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// noQueue is a store whose job queue is out of reach, as in an outage.
type noQueue struct {
	*sqlite.Store
	asked atomic.Int64
}

func (q *noQueue) AddJobs(context.Context, []broker.NewJob) ([]broker.AddedJob, error) {
	q.asked.Add(1)
	return nil, fmt.Errorf("%w: the job queue is in the database", broker.ErrUnavailable)
}

// written is what a log has, for more than one goroutine.
type written struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *written) count(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.b.String(), text)
}

// TestNoQueueIsSaidOnce: the jobs of a setup are tried again and again; that they wait is said once for each
// setup.
func TestNoQueueIsSaidOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	store, said := &noQueue{Store: c.store()}, &written{}
	b := c.start(1, func(o *broker.Options) { o.Store, o.Log = store, slog.New(slog.NewTextHandler(said, nil)) })
	for i, pool := range []string{"one", "two"} {
		if _, err := b.Apply(t.Context(), broker.Setup{DesktopPools: []broker.DesktopPool{{Name: pool, Kind: broker.KindPooled}}}, false, "test"); err != nil {
			t.Fatal(err)
		}
		before := store.asked.Load()
		eventually(t, "the jobs are tried again", func() bool { return store.asked.Load() >= before+3 })
		if n := said.count("not in the queue yet"); n != i+1 {
			t.Errorf("said %d times after %d setups", n, i+1)
		}
	}
}
