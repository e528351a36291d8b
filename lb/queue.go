package lb

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// queue is those who wait for a place, in the order in which they came. Only the first one looks
// whether there is a place, whenever there may be one; the others have their turn when it leaves.
//
//	full -> wait at the end -> first -> kicked: pick again -> a place, or nobody serves: leave
//	                  |                            full: wait on
//	                  '-> queue_timeout, client gone, process stops: leave
//
// The one who waits is the client's own goroutine. Nothing is allocated where nobody waits.
type queue struct {
	depth       atomic.Int64
	mu          sync.Mutex
	first, last *waiter
}

// waiter is one who waits.
type waiter struct {
	kicked     chan struct{} // one word at most is kept
	cut        atomic.Bool   // the wait is to end
	number     uint64        // of those who have waited in the pool
	next, prev *waiter
}

// newcomer is the number of who does not wait yet.
const newcomer = math.MaxUint64

// enter takes a place at the end. Whoever does must look again before it waits: a place may
// have come free meanwhile.
func (q *queue) enter(w *waiter) {
	q.depth.Add(1)
	q.mu.Lock()
	w.prev, w.next = q.last, nil
	if q.last != nil {
		q.last.next = w
	} else {
		q.first = w
	}
	q.last = w
	q.mu.Unlock()
	q.kick()
}

// leave gives the place up. The next one looks, since w may have been told of a place.
func (q *queue) leave(w *waiter) {
	q.mu.Lock()
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	w.next, w.prev = nil, nil
	q.mu.Unlock()
	q.depth.Add(-1)
	q.kick()
}

// kick lets the first one look.
func (q *queue) kick() {
	if q.depth.Load() == 0 {
		return
	}
	q.mu.Lock()
	if q.first != nil {
		q.first.kick()
	}
	q.mu.Unlock()
}

func (w *waiter) kick() {
	select {
	case w.kicked <- struct{}{}:
	default: // it has been told
	}
}

// cutOff ends the wait.
func (w *waiter) cutOff() {
	w.cut.Store(true)
	w.kick()
}

// isFirst says whether it is w's turn to look.
func (q *queue) isFirst(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.first == w
}

// ahead says whether somebody waits who came before the one with that number.
func (q *queue) ahead(number uint64) bool {
	if q.depth.Load() == 0 {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.first != nil && q.first.number < number
}

// waited is how a wait ended. The words are those of the metric.
type waited uint8

const (
	gotPlace  waited = iota // or nobody serves any more
	queueFull               // it had no place in the queue
	queueLate               // queue_timeout
	queueLeft               // the client has gone, or the process stops
	waitedEnds
)

// String is the word.
func (w waited) String() string { return [...]string{"served", "full", "timeout", "gone"}[w] }

// queueMetrics count how waits of a pool ended.
type queueMetrics [waitedEnds]prometheus.Counter

// wakeAll lets the first of all queues of the pool look.
func (lp *livePool) wakeAll() {
	lp.queue.kick()
	for _, u := range lp.ups {
		u.queue.kick()
	}
}

// giveUp is what a request that got no place is told.
func (w waited) giveUp() string {
	if w == queueFull {
		return "all servers of this pool are busy, and as many requests as may wait already do"
	}
	return "all servers of this pool were busy for too long"
}
