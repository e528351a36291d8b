package broker

import (
	"container/list"
	"fmt"
	"time"
)

const (
	// maxWaiting bounds the memory that waiting logins take (about 2 KB each).
	maxWaiting = 50_000
	// queueShare is how much of its deadline a login may be expected to wait: the rest is for the
	// measured rate being wrong.
	queueShare = 0.9
	// abandonedAfter is how long a login may wait that nobody asks about: whoever was told to ask again
	// (pollWithin at most) and does not has gone, and its work would be for nobody.
	abandonedAfter = 30 * time.Second
)

// turn is one login's turn. Its queue alone changes it.
type turn struct {
	source   source
	deadline time.Time // when its answer must be there
	arrived  time.Time
	started  time.Time // when it got its place
	// unwatched is since when nobody has waited for its outcome; zero: somebody does.
	unwatched time.Time

	login        *pending // whose turn it is
	lane         *lane
	inLane, late *list.Element // in lane.turns, queue.byDeadline; nil: it does not wait
	rank, base   int           // its place when queue.started was base
	decision     decision      // at its arrival
	why          lossReason    // it left the queue without a place
}

// lossReason is why a login left the queue without a place.
type lossReason string

const (
	lossBusy      lossReason = "busy"      // refused at its arrival
	lossEvicted   lossReason = "evicted"   // it made room for a source with fewer logins
	lossDeadline  lossReason = "deadline"  // it could no longer be answered in time
	lossAbandoned lossReason = "abandoned" // its client has gone
	lossStopped   lossReason = "stopped"   // the broker stops
)

// queue decides which login is worked at which time. It knows no clock, no lock and no goroutine: each
// method is told the time, and what was decided is in its result and in losses.
//
//	           a place is free
//	(arrive) ------------------> working --> (done)
//	    |  \                        ^
//	    |   \ no place   the lanes, | in turn
//	    |    +---------> waiting ---+
//	    v                   |
//	  refused: busy         v
//	                      lost: deadline, abandoned, evicted, stopped
//
// Each source has a lane and the lanes take turns, so that a source waits for as many logins of others
// as it has itself, whatever the others have. When the queue is full, the last login of the longest lane
// makes room for one of a lane that is shorter by two at least.
type queue struct {
	places   int
	deadline time.Duration
	rate     serviceRate

	working    int
	waiting    int
	crowded    bool // is_alive says 503
	lanes      map[source]*lane
	ring       list.List // of *lane: whose turn is next
	byDeadline list.List // of *turn
	longer     []int     // longer[n] lanes have more than n logins
	flood      *lane     // the longest one, when that was last asked; it may be gone
	started    int       // logins that got their place after waiting
	ranked     time.Time
	losses     []*turn
}

func newQueue(places int, deadline time.Duration) *queue {
	return &queue{places: places, deadline: deadline, rate: newServiceRate(places, deadline), lanes: make(map[source]*lane)}
}

// decision is what arrive says.
type decision struct {
	start  bool          // it has its place
	wait   bool          // it waits for one; neither: it is refused
	ahead  int           // logins that wait before it
	expect time.Duration // how long these will take
	reason string        // of a refusal
}

// arrive decides about a login that has just come.
func (q *queue) arrive(now time.Time, t *turn) decision {
	q.expire(now)
	if q.waiting == 0 && q.working < q.places {
		q.start(now, t)
		return decision{start: true}
	}
	d := q.estimate(now, t)
	left := t.deadline.Sub(now)
	switch {
	case left <= q.margin() || float64(d.expect) > queueShare*float64(left):
		q.refuse(t)
		d.reason = fmt.Sprintf("%d logins wait before this one, %.1f a second are answered, and it has %s left", d.ahead, q.rate.at(now), left.Round(time.Millisecond))
		return d
	case q.waiting >= q.limit(now) && !q.makeRoom(t.source):
		q.refuse(t)
		d.reason = fmt.Sprintf("%d logins wait, which is as many as can be answered within %s", q.waiting, q.deadline)
		return d
	}
	q.enqueue(now, t, d.ahead)
	d.wait = true
	return d
}

// estimate says how many logins come before one of t's source, at most, and how long they take.
func (q *queue) estimate(now time.Time, t *turn) (d decision) {
	own := 0
	if l := q.lanes[t.source]; l != nil {
		own = l.turns.Len()
	}
	for n := 0; n <= own && n < len(q.longer); n++ {
		d.ahead += q.longer[n]
	}
	d.expect = q.expected(now, d.ahead)
	return d
}

// expected is how long n logins take to get their places.
func (q *queue) expected(now time.Time, n int) time.Duration {
	seconds := float64(n) / max(q.rate.at(now), 1e-6)
	return time.Duration(min(seconds, time.Hour.Seconds()) * float64(time.Second))
}

// limit is how many logins may wait: as many as are answered within the deadline.
func (q *queue) limit(now time.Time) int {
	return max(1, int(min(q.rate.at(now)*q.deadline.Seconds()*queueShare, maxWaiting)))
}

func (q *queue) start(now time.Time, t *turn) {
	t.started = now
	q.working++
}

// done takes the place of a login that has been worked, and gives the login that gets it, or nil.
func (q *queue) done(now time.Time, t *turn) *turn {
	q.working--
	q.rate.done(now.Sub(t.started))
	next := q.next(now)
	q.judge(now)
	return next
}

// next gives a free place to the login whose turn it is.
func (q *queue) next(now time.Time) *turn {
	q.expire(now)
	for q.waiting > 0 && q.working < q.places {
		l := q.ring.Front().Value.(*lane)
		t := l.turns.Front().Value.(*turn)
		if !t.unwatched.IsZero() && now.Sub(t.unwatched) >= abandonedAfter {
			q.lose(t, lossAbandoned)
			continue
		}
		q.dequeue(t)
		if l.turns.Len() > 0 {
			q.ring.MoveToBack(l.turn)
		}
		q.started++
		q.start(now, t)
		q.settle(now)
		return t
	}
	q.settle(now)
	return nil
}

// settle notes when the queue has become empty.
func (q *queue) settle(now time.Time) {
	if q.waiting == 0 && q.rate.busy {
		q.rate.end(now)
	}
}

// leave takes a login out that nobody waits for any more.
func (q *queue) leave(now time.Time, t *turn) {
	if t.lane == nil {
		return
	}
	q.lose(t, lossAbandoned)
	q.settle(now)
	q.judge(now)
}

// margin is what a login needs in its place: one that has less left would be worked for nothing.
func (q *queue) margin() time.Duration { return min(2*q.rate.work, q.deadline/5) }

// expire takes out the logins that cannot be answered in time any more.
func (q *queue) expire(now time.Time) {
	for e := q.byDeadline.Front(); e != nil; e = q.byDeadline.Front() {
		t := e.Value.(*turn)
		if t.deadline.Sub(now) > q.margin() {
			break
		}
		q.lose(t, lossDeadline)
	}
	q.settle(now)
	q.judge(now)
}

// stop takes all out.
func (q *queue) stop(now time.Time) {
	for e := q.byDeadline.Front(); e != nil; e = q.byDeadline.Front() {
		q.lose(e.Value.(*turn), lossStopped)
	}
	q.settle(now)
	q.judge(now)
}

// takeLosses gives the logins that were lost since it was last asked.
func (q *queue) takeLosses() []*turn {
	out := q.losses
	q.losses = nil
	return out
}

// judge sets crowded: from more than half of the limit until a quarter of it.
func (q *queue) judge(now time.Time) {
	switch limit := q.limit(now); {
	case q.waiting*2 > limit:
		q.crowded = true
	case q.waiting*4 <= limit:
		q.crowded = false
	}
}

func (q *queue) refuse(t *turn) {
	t.why = lossBusy
	q.losses = append(q.losses, t)
}

func (q *queue) lose(t *turn, why lossReason) {
	q.dequeue(t)
	t.why = why
	q.losses = append(q.losses, t)
}
