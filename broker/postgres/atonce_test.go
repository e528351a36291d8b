package postgres

import (
	"errors"
	"sync"
	"testing"

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

