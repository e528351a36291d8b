package healthcheck

import "time"

// The wheel's resolution and turn. Longer intervals go round more than once.
const (
	wheelTick  = 10 * time.Millisecond
	wheelSlots = 1024
)

// wheel holds the checks that wait for their moment: adding, removing and firing cost the same
// however many there are. Times are offsets from the engine's start, on the monotonic clock,
// so that a step of the wall clock moves nothing. It has no lock and no timer of its own.
type wheel struct {
	slots [wheelSlots]*check
	at    int64 // the next tick to fire
	count int
}

// add lets c wait until due. c must not be in the wheel.
func (w *wheel) add(c *check, due time.Duration) {
	c.due = due
	c.tick = max(int64(due/wheelTick), w.at)
	head := &w.slots[c.tick%wheelSlots]
	c.prev, c.next = nil, *head
	if *head != nil {
		(*head).prev = c
	}
	*head = c
	w.count++
}

// remove takes c out. c must be in the wheel.
func (w *wheel) remove(c *check) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		w.slots[c.tick%wheelSlots] = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	w.count--
}

// advance takes out every check whose tick has begun at now and gives it to fire.
func (w *wheel) advance(now time.Duration, fire func(*check)) {
	last := int64(now / wheelTick)
	if last < w.at {
		return
	}
	// After a long pause one turn meets every slot.
	for t := max(w.at, last-wheelSlots+1); t <= last; t++ {
		for c := w.slots[t%wheelSlots]; c != nil; {
			next := c.next
			if c.tick <= last {
				w.remove(c)
				fire(c)
			}
			c = next
		}
	}
	w.at = last + 1
}

// next is when the wheel has to be advanced again; false when nothing waits. It may be early by
// whole turns, never late.
func (w *wheel) next() (time.Duration, bool) {
	if w.count == 0 {
		return 0, false
	}
	for t := w.at; t < w.at+wheelSlots; t++ {
		if w.slots[t%wheelSlots] != nil {
			return time.Duration(t) * wheelTick, true
		}
	}
	return 0, false
}
