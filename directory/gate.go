package directory

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// The limit of a gate moves between its size and a quarter of that, but not below 4 (or its size):
// so few are never too many for a server that works.
const (
	gateFloor = 4
	// windowTime and windowSamples end a window; the limit moves once in each.
	windowTime    = 500 * time.Millisecond
	windowSamples = 32
	// tolerance is how many times longer than its best an operation may take before a full gate
	// lets fewer in.
	tolerance = 3
	// forget is how much of the way from the best to the present the best goes in each window: a
	// server that became slower for good is measured by its new self after some minutes.
	forget = 0.01
)

// gate lets a bounded number of operations go to a server at once; the others wait in the order
// in which they came. The bound adapts: while operations take much longer than they did at their
// best, fewer are let in, because more would only wait in the server, where nobody can take them
// back. It follows the mean time of the operations, window by window.
type gate struct {
	size  int // most ever
	floor float64

	mu      sync.Mutex
	limit   float64
	used    int
	waiting list.List // of *waiter
	closed  bool
	empty   chan struct{} // closed when the gate is and nobody is inside
	window  window
	best    time.Duration
}

// window collects what operations took.
type window struct {
	began time.Time
	n     int
	sum   time.Duration
	full  bool // the gate had no place left for a moment
}

type waiter struct {
	ready chan struct{} // closed when err is decided
	err   error
}

func newGate(size int) *gate {
	return &gate{size: size, limit: float64(size), floor: float64(min(size, max(gateFloor, size/4))), empty: make(chan struct{})}
}

// enter waits for a place until ctx ends.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return errClosed
	}
	if g.waiting.Len() == 0 && g.used < int(g.limit) {
		g.used++
		g.mu.Unlock()
		return nil
	}
	g.window.full = true
	w := &waiter{ready: make(chan struct{})}
	place := g.waiting.PushBack(w)
	g.mu.Unlock()
	select {
	case <-w.ready:
		return w.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.ready: // both at once: the place must not be lost
		if w.err == nil {
			g.free()
		}
	default:
		g.waiting.Remove(place)
	}
	return ctx.Err()
}

// tryEnter takes a place if one is free.
func (g *gate) tryEnter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.waiting.Len() > 0 || g.used >= int(g.limit) {
		return false
	}
	g.used++
	return true
}

// leave gives the place back. took is what the server needed; 0 when that says nothing about it.
func (g *gate) leave(took time.Duration) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if took > 0 {
		w := &g.window
		if w.n == 0 {
			w.began = now
		}
		w.n++
		w.sum += took
		if w.n >= windowSamples && now.Sub(w.began) >= windowTime {
			g.limit, g.best = nextLimit(g.limit, g.floor, float64(g.size), g.best, *w)
			g.window = window{}
		}
	}
	g.free()
}

// free passes a place on. The caller holds mu.
func (g *gate) free() {
	g.used--
	for g.used < int(g.limit) && g.waiting.Len() > 0 {
		w := g.waiting.Remove(g.waiting.Front()).(*waiter)
		g.used++
		close(w.ready)
	}
	if g.closed && g.used == 0 {
		close(g.empty)
	}
}

// nextLimit decides what a window means for the limit, and for the best mean time. Slow
// operations of a gate that was never full are not for want of a bound: they leave it.
func nextLimit(limit, floor, size float64, best time.Duration, w window) (float64, time.Duration) {
	mean := w.sum / time.Duration(w.n)
	if best == 0 || mean <= best {
		best = mean
	} else {
		best += time.Duration(float64(mean-best) * forget)
	}
	switch ratio := tolerance * float64(best) / float64(mean); {
	case ratio >= 1:
		limit++
	case w.full:
		limit *= max(ratio, .75)
	}
	return min(size, max(floor, limit)), best
}

// gateState is what there is to see of a gate.
type gateState struct{ limit, used, waiting int }

func (g *gate) state() gateState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return gateState{int(g.limit), g.used, g.waiting.Len()}
}

// close turns away who waits and who comes, and waits until nobody is inside.
func (g *gate) close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		for g.waiting.Len() > 0 {
			w := g.waiting.Remove(g.waiting.Front()).(*waiter)
			w.err = errClosed
			close(w.ready)
		}
		if g.used == 0 {
			close(g.empty)
		}
	}
	g.mu.Unlock()
	<-g.empty
}
