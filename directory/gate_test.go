package directory

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNextLimit(t *testing.T) {
	const ms = time.Millisecond
	w := func(mean time.Duration, full bool) window { return window{n: 50, sum: 50 * mean, full: full} }
	for _, c := range []struct {
		what        string
		limit       float64
		best        time.Duration
		w           window
		want        float64
		lower, high time.Duration // bounds of the best afterwards
	}{
		{"the first window", 16, 0, w(2*ms, true), 16, 2 * ms, 2 * ms},
		{"as fast as ever", 8, 2 * ms, w(2*ms, true), 9, 2 * ms, 2 * ms},
		{"faster", 8, 2 * ms, w(ms, true), 9, ms, ms},
		{"somewhat slower", 8, 2 * ms, w(5*ms, true), 9, 2 * ms, 3 * ms},
		{"much slower and full", 16, ms, w(100*ms, true), 12, ms, 2 * ms},
		{"much slower, and it was never full", 16, ms, w(100*ms, false), 16, ms, 2 * ms},
		{"not below the floor", 4, ms, w(100*ms, true), 4, ms, 2 * ms},
		{"not above the size", 16, ms, w(ms, true), 16, ms, ms},
	} {
		got, best := nextLimit(c.limit, 4, 16, c.best, c.w)
		if got != c.want || best < c.lower || best > c.high {
			t.Errorf("%s: %v, best %s", c.what, got, best)
		}
	}
}

// A server that became slow gets fewer at once, and all again when it is itself again.
func TestGateAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(16)
		var took atomic.Int64
		took.Store(int64(time.Millisecond))
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if g.enter(ctx) != nil {
						return
					}
					d := time.Duration(took.Load())
					time.Sleep(d)
					g.leave(d)
				}
			})
		}
		time.Sleep(5 * time.Second)
		synctest.Wait() // for those that wake at the same moment
		if s := g.state(); s.limit != 16 || s.used != 16 || s.waiting != 16 {
			t.Errorf("at its best: %+v", s)
		}
		took.Store(int64(20 * time.Millisecond))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := g.state(); s.limit != 4 || s.used != 4 || s.waiting != 28 {
			t.Errorf("20 times slower: %+v", s)
		}
		took.Store(int64(time.Millisecond))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if s := g.state(); s.limit != 16 {
			t.Errorf("as before: %+v", s)
		}
		stop()
		wg.Wait()
		g.close()
	})
}

func TestGateIsFairAndLosesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g.tryEnter() {
			t.Fatal("a second one")
		}
		var order []int
		var wg sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		for i := range 3 {
			wg.Go(func() {
				c := t.Context()
				if i == 1 {
					c = ctx
				}
				if err := g.enter(c); err != nil {
					if i != 1 || !errors.Is(err, context.Canceled) {
						t.Errorf("%d: %v", i, err)
					}
					return
				}
				order = append(order, i)
				g.leave(0)
			})
			synctest.Wait()
		}
		stop() // the one in the middle leaves the queue
		synctest.Wait()
		g.leave(0)
		wg.Wait()
		if len(order) != 2 || order[0] != 0 || order[1] != 2 {
			t.Errorf("came in as %v", order)
		}
		if !g.tryEnter() {
			t.Fatal("a place was lost")
		}
		// Who waits when the gate closes is turned away; close waits for who is inside.
		wg.Go(func() {
			if err := g.enter(t.Context()); !errors.Is(err, errClosed) {
				t.Errorf("closed: %v", err)
			}
		})
		synctest.Wait()
		closed := false
		wg.Go(func() { g.close(); closed = true })
		synctest.Wait()
		if closed {
			t.Error("it closed with somebody inside")
		}
		g.leave(0)
		wg.Wait()
		if err := g.enter(t.Context()); !errors.Is(err, errClosed) || g.tryEnter() {
			t.Errorf("after close: %v", err)
		}
	})
}
