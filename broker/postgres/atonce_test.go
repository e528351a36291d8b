package postgres

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

func unavailable(err error) bool { return errors.Is(err, broker.ErrUnavailable) }

// atOnce calls fn n times at once.
func atOnce(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func count(t *testing.T, s *Store, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := s.pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// addJobsAtOnce lets brokers add the same recurring jobs at once, each in another order, as brokers that
// start together or have setups of two versions do: none waits for another one in a circle.
func addJobsAtOnce(t *testing.T, d *databases) {
	u := d.fresh(t, d.DSN)
	s := open(t, Options{URL: u})
	atOnce(4, func(i int) {
		for range 25 {
			var jobs []broker.NewJob
			for j := range 6 {
				jobs = append(jobs, broker.NewJob{Kind: "work", Target: strconv.Itoa((j + i) % 6), Every: time.Hour})
			}
			added, err := s.AddJobs(t.Context(), broker.WithIDs(jobs))
			if err != nil {
				t.Error(err)
				return
			}
			for j, a := range added {
				list, err := s.Jobs(t.Context(), broker.JobFilter{ID: a.ID})
				if err != nil || len(list) != 1 || list[0].Target != jobs[j].Target {
					t.Errorf("added %+v as %+v, %v", jobs[j], list, err)
				}
			}
		}
	})
	s.Close() // the server counts when a connection ends
	look := open(t, Options{URL: u})
	if n := count(t, look, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
}

// takenOverAtOnce: a beat that waits while another process takes the site id over does not count.
func takenOverAtOnce(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	m := join(t, s, 1)
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `UPDATE broker SET epoch = epoch + 1`); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() { got <- s.Heartbeat(t.Context(), m, broker.Beat{}) }()
	for deadline := time.Now().Add(20 * time.Second); count(t, s, `SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT granted AND a.datname = current_database()`) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the beat does not wait")
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, broker.ErrFenced) {
		t.Errorf("a beat of a broker that was replaced meanwhile: %v", err)
	}
}
