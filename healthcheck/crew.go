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
	queue queue
	first queue // checks that may be about to change: when this process is late, they go first
	live  int   // workers
	idle  int   // of them, waiting and not yet signalled
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
	if c.rush || c.j.pending() && c.j.state != Unknown {
		c.rush = false
		w.first.push(c)
	} else {
		w.queue.push(c)
	}
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

// next is the check to probe next; nil when none waits.
func (w *crew) next() *check {
	if c := w.first.pop(); c != nil {
		return c
	}
	return w.queue.pop()
}

// queue is first in, first out.
type queue struct {
	of   []*check
	head int
}

func (q *queue) push(c *check) { q.of = append(q.of, c) }

func (q *queue) empty() bool { return q.head == len(q.of) }

func (q *queue) pop() *check {
	if q.empty() {
		return nil
	}
	c := q.of[q.head]
	q.of[q.head] = nil
	q.head++
	switch {
	case q.empty():
		q.of, q.head = q.of[:0], 0
	case q.head > 1024 && q.head > len(q.of)/2:
		n := copy(q.of, q.of[q.head:])
		clear(q.of[n:])
		q.of, q.head = q.of[:n], 0
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
	if (!w.queue.empty() || !w.first.empty()) && w.idle > 0 {
		w.rouse() // this worker left because max was lowered: hand on what it was woken for
	}
}
