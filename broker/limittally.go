package broker

import (
	"maps"
	"time"
)

// limitSlots is into how many parts a window is cut: what is counted leaves it a part at a time, so
// that a window is never shorter than it says, and longer by a fifth at most.
const limitSlots = 6

// count is what happened in one slot: failures, and users that signed in.
type count struct{ bad, good int }

// tally counts one key over a window that moves. The zero value with a width is empty.
type tally struct {
	width time.Duration // of a slot
	head  int64         // number of the newest slot
	slots [limitSlots]slot
	users map[string]int64 // who signed in, and the newest slot in which he did
}

// slot is one part of a window.
type slot struct {
	own, others count
	sent        count // of own, what the other brokers have been told
}

func newTally(window time.Duration) *tally { return &tally{width: max(1, window/(limitSlots-1))} }

// slotOf numbers the slots of all time. Times are elapsed ones, from any start.
func (t *tally) slotOf(at time.Duration) int64 { return int64(at / t.width) }

// at is the slot of a moment, or nil when that has left the window.
func (t *tally) at(moment time.Duration) *slot {
	n := t.slotOf(moment)
	if n > t.head {
		for i := max(t.head+1, n-limitSlots+1); i <= n; i++ {
			t.slots[i%limitSlots] = slot{}
		}
		t.head = n
		maps.DeleteFunc(t.users, func(_ string, last int64) bool { return last <= n-limitSlots })
	}
	if n <= t.head-limitSlots || n < 0 {
		return nil
	}
	return &t.slots[n%limitSlots]
}

// total is what the window holds now.
func (t *tally) total(now time.Duration) (c count) {
	t.at(now)
	for _, s := range t.slots {
		c.bad += s.own.bad + s.others.bad
		c.good += s.own.good + s.others.good
	}
	return c
}

// success counts a user once in a window: whoever has one account cannot make up for his failures with
// it again and again.
func (t *tally) success(user string, now time.Duration) {
	s := t.at(now)
	if _, known := t.users[user]; !known {
		s.own.good++
	}
	if t.users == nil {
		t.users = make(map[string]int64, 1)
	}
	t.users[user] = t.head
}

// signedIn says whether anybody has signed in here whom the others do not know of.
func (t *tally) signedIn() bool {
	for _, s := range t.slots {
		if s.own.good != s.sent.good {
			return true
		}
	}
	return false
}

// pardon takes back the failures.
func (t *tally) pardon(now time.Duration) {
	t.at(now)
	for i := range t.slots {
		t.slots[i].own.bad, t.slots[i].others.bad = 0, 0
	}
}

// unsent calls fn for each slot of which the other brokers have not been told all.
func (t *tally) unsent(now time.Duration, fn func(s *slot, age time.Duration)) {
	t.at(now)
	for n := max(0, t.head-limitSlots+1); n <= t.head; n++ {
		if s := &t.slots[n%limitSlots]; s.own != s.sent {
			fn(s, max(0, now-time.Duration(n+1)*t.width)) // of the youngest in it: nothing may leave a window early
		}
	}
}
