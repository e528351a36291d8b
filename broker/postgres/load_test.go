package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
)

// load is logins without end.
type load struct {
	stop         atomic.Bool
	wg           sync.WaitGroup
	count        atomic.Int64
	mu           sync.Mutex
	acknowledged [][32]byte
	strange      error
}

func newLoad(s *Store) *load {
	l := &load{}
	for i := range 4 {
		l.wg.Go(func() {
			for !l.stop.Load() {
				r := record(fmt.Sprint("user", i))
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				_, err := s.Login(ctx, r)
				cancel()
				l.mu.Lock()
				if err == nil {
					l.acknowledged = append(l.acknowledged, r.NewSession.TokenHash)
					l.count.Add(1)
				} else if !errors.Is(err, broker.ErrUnavailable) {
					l.strange = err
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

// more waits for n more logins that succeed.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	from := l.count.Load()
	for deadline := time.Now().Add(60 * time.Second); l.count.Load() < from+n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.stop.Store(true)
			l.wg.Wait()
			t.Fatalf("%d logins in a minute, want %d", l.count.Load()-from, n)
		}
	}
}

// check ends the load and looks for every session that was acknowledged.
func (l *load) check(t *testing.T, s *Store) {
	t.Helper()
	l.stop.Store(true)
	l.wg.Wait()
	if l.strange != nil {
		t.Error(l.strange)
	}
	for _, hash := range l.acknowledged {
		if _, err := s.Session(t.Context(), hash); err != nil {
			t.Fatalf("an acknowledged session is lost: %v", err)
		}
	}
}
