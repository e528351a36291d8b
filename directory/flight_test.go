package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFlightsAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		var asks atomic.Int64
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				e, err := f.search(t.Context(), fmt.Sprint(i%2), func() (Entry, error) {
					asks.Add(1)
					time.Sleep(time.Second)
					return Entry{User: fmt.Sprint(i % 2), Attributes: map[string][]string{"a": nil}}, nil
				})
				if err != nil || e.User != fmt.Sprint(i%2) {
					t.Errorf("%+v, %v", e, err)
				}
				e.Attributes["mine"] = []string{fmt.Sprint(i)} // nobody else's: the race detector would say so
			})
		}
		wg.Wait()
		if asks.Load() != 2 || len(f.all) != 0 {
			t.Errorf("%d searches, %d left", asks.Load(), len(f.all))
		}
	})
}

// The end of the one who asks is not the end of those who wait, and theirs is not his.
func TestFlightsOutliveTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		ask := func(ctx context.Context) func() (Entry, error) {
			return func() (Entry, error) {
				select {
				case <-ctx.Done():
					return Entry{}, classify(ctx, ctx.Err())
				case <-time.After(time.Second):
					return Entry{User: "alice"}, nil
				}
			}
		}
		var wg sync.WaitGroup
		for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
			"cancelled": func(c context.Context) (context.Context, context.CancelFunc) {
				c, stop := context.WithCancel(c)
				time.AfterFunc(500*time.Millisecond, stop)
				return c, stop
			},
			"short of time": func(c context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(c, 500*time.Millisecond)
			},
		} {
			first, stop := end(t.Context())
			wg.Go(func() {
				if _, err := f.search(first, name, ask(first)); err == nil {
					t.Errorf("%s: the first got an answer", name)
				}
			})
			synctest.Wait()
			for range 3 {
				wg.Go(func() {
					if e, err := f.search(t.Context(), name, ask(t.Context())); err != nil || e.User != "alice" {
						t.Errorf("%s: one who waited got %+v, %v", name, e, err)
					}
				})
			}
			synctest.Wait()
			hasty, end := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := f.search(hasty, name, ask(hasty)); err == nil || errors.Is(err, ErrRefused) {
				t.Errorf("%s: one in a hurry got %v", name, err)
			}
			end()
			wg.Wait()
			stop()
		}
		// An answer that is an error is an answer.
		var asks atomic.Int64
		for range 3 {
			wg.Go(func() {
				if _, err := f.search(t.Context(), "nobody", func() (Entry, error) {
					asks.Add(1)
					time.Sleep(time.Second)
					return Entry{}, ErrNoUser
				}); !errors.Is(err, ErrNoUser) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if asks.Load() != 1 {
			t.Errorf("%d searches", asks.Load())
		}
	})
}

func TestMemo(t *testing.T) {
	now := time.Unix(1e9, 0)
	m := newMemo[int](3)
	for i := range 100 {
		m.put(fmt.Sprint(i), i, now)
	}
	if len(m.young)+len(m.old) > 6 {
		t.Errorf("%d are kept", len(m.young)+len(m.old))
	}
	if v, ok := m.get("99", now); !ok || v != 99 {
		t.Errorf("99 is %d, %v", v, ok)
	}
	if _, ok := m.get("0", now); ok {
		t.Error("0 is still there")
	}
	if _, ok := m.get("99", now.Add(memoTurn)); !ok {
		t.Error("99 went too early")
	}
	for late := range 100 { // use does not prolong it
		m.get("99", now.Add(time.Duration(late)*memoTurn/30))
	}
	if _, ok := m.get("99", now.Add(2*memoTurn)); ok {
		t.Error("99 is out of date")
	}
}
