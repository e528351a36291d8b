package broker

import (
	"container/list"
	"net/netip"
	"time"
)

// rankEvery is how often the places in the queue are counted anew.
const rankEvery = time.Second

// source is whose logins stand in one lane: of an IPv4 address, of an IPv6 /64, and behind an address
// that many people share, of one user.
type source struct {
	prefix netip.Prefix
	user   string
}

// sourceOf says in which lane the login of user from address stands.
func sourceOf(address, user string, shared func(netip.Addr) bool) source {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return source{user: user}
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	prefix, _ := a.Prefix(bits) // these lengths are right
	if shared(a) {
		return source{prefix: prefix, user: user}
	}
	return source{prefix: prefix}
}

// lane is the logins of one source that wait, the earliest first.
type lane struct {
	source source
	turns  list.List
	turn   *list.Element // in queue.ring
}

func (q *queue) enqueue(now time.Time, t *turn, ahead int) {
	l := q.lanes[t.source]
	if l == nil {
		l = &lane{source: t.source}
		l.turn = q.ring.PushBack(l)
		q.lanes[t.source] = l
	}
	n := l.turns.Len()
	if n == len(q.longer) {
		q.longer = append(q.longer, 0)
	}
	q.longer[n]++
	t.lane, t.inLane, t.rank, t.base = l, l.turns.PushBack(t), ahead, q.started
	q.insertByDeadline(t)
	if q.waiting++; !q.rate.busy {
		q.rate.begin(now, q.places)
	}
	q.judge(now)
}

// insertByDeadline finds the place from the end: who comes later has the later deadline, but for
// moments.
func (q *queue) insertByDeadline(t *turn) {
	e := q.byDeadline.Back()
	for e != nil && e.Value.(*turn).deadline.After(t.deadline) {
		e = e.Prev()
	}
	if e == nil {
		t.late = q.byDeadline.PushFront(t)
		return
	}
	t.late = q.byDeadline.InsertAfter(t, e)
}

func (q *queue) dequeue(t *turn) {
	l := t.lane
	l.turns.Remove(t.inLane)
	q.byDeadline.Remove(t.late)
	t.lane, t.inLane, t.late = nil, nil, nil
	n := l.turns.Len()
	q.longer[n]--
	if n == len(q.longer)-1 && q.longer[n] == 0 {
		q.longer = q.longer[:n]
	}
	if n == 0 {
		q.ring.Remove(l.turn)
		delete(q.lanes, l.source)
	}
	q.waiting--
}

// makeRoom takes the last login out of the longest lane, if that is longer than the lane of s by more
// than the one that is to come.
func (q *queue) makeRoom(s source) bool {
	own := 0
	if l := q.lanes[s]; l != nil {
		own = l.turns.Len()
	}
	longest := len(q.longer)
	if longest < own+2 {
		return false
	}
	// Whoever floods the queue has the longest lane for long, so it is remembered: all lanes may be many.
	for e := q.ring.Back(); e != nil && (q.flood == nil || q.flood.turns.Len() != longest); e = e.Prev() {
		q.flood = e.Value.(*lane)
	}
	q.lose(q.flood.turns.Back().Value.(*turn), lossEvicted)
	return true
}

// position is how many logins wait before t, as of the last rankEvery.
func (q *queue) position(now time.Time, t *turn) int {
	if t.lane == nil {
		return 0
	}
	if now.Sub(q.ranked) >= rankEvery {
		q.rankAll(now)
	}
	return max(0, t.rank-(q.started-t.base))
}

// rankAll counts through the lanes as next will take them.
func (q *queue) rankAll(now time.Time) {
	q.ranked = now
	round := make([]*list.Element, 0, q.ring.Len())
	for e := q.ring.Front(); e != nil; e = e.Next() {
		round = append(round, e.Value.(*lane).turns.Front())
	}
	for rank := 0; len(round) > 0; {
		rest := round[:0]
		for _, e := range round {
			t := e.Value.(*turn)
			t.rank, t.base = rank, q.started
			rank++
			if n := e.Next(); n != nil {
				rest = append(rest, n)
			}
		}
		round = rest
	}
}
