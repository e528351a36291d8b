package healthcheck

import (
	"context"
	"sync"
)

// idleWorkers is how many workers stay when there is nothing to do: starting one costs less
// than keeping thousands after a moment of time-outs.
const idleWorkers = 64

// crew is the workers that probe, and the checks that wait for one. Workers are started on
// demand up to max, which bounds the probes in flight. All of it is guarded by Engine.mu.
type crew struct {
	max   int
	queue []*check // first in, first out from head on
	head  int
	live  int // workers
	idle  int // of them, waiting and not yet signalled
	ended bool
	more  sync.Cond // on Engine.mu: queue or ended changed
	wait  sync.WaitGroup

	ctx  context.Context // of Run: the crew lives exactly as long
	work func(context.Context, *check)
}

func (w *crew) begin(ctx context.Context, work func(context.Context, *check)) {
	w.ctx, w.work = ctx, work
}

// give hands c to a worker, now or when one is free.
func (w *crew) give(c *check) {
	w.queue = append(w.queue, c)
	switch {
	case w.idle > 0:
		w.rouse()
	case w.live < w.max:
		w.live++
		w.wait.Add(1)
		go w.run()
	}
}

// rouse wakes one idle worker. It is no longer idle from here on, so that the next check is not
// left to a worker that is already spoken for.
func (w *crew) rouse() {
	w.idle--
	w.more.Signal()
}

// next is the check that has waited longest; nil when none waits.
func (w *crew) next() *check {
	if w.head == len(w.queue) {
		return nil
	}
	c := w.queue[w.head]
	w.queue[w.head] = nil
	w.head++
	switch {
	case w.head == len(w.queue):
		w.queue, w.head = w.queue[:0], 0
	case w.head > 1024 && w.head > len(w.queue)/2:
		n := copy(w.queue, w.queue[w.head:])
		clear(w.queue[n:])
		w.queue, w.head = w.queue[:n], 0
	}
	return c
}

// end tells all workers to stop once their probe is over.
func (w *crew) end() {
	w.ended = true
	w.more.Broadcast()
}

// run is one worker.
func (w *crew) run() {
	defer w.wait.Done()
	mu := w.more.L
	mu.Lock()
	defer mu.Unlock()
	for !w.ended && w.live <= w.max {
		c := w.next()
		if c == nil {
			if w.idle >= idleWorkers {
				break
			}
			w.idle++
			w.more.Wait()
			continue
		}
		mu.Unlock()
		w.work(w.ctx, c)
		mu.Lock()
	}
	w.live--
	if w.head < len(w.queue) && w.idle > 0 {
		w.rouse() // this worker left because max was lowered: hand on what it was woken for
	}
}
