package broker

import (
	"context"
	"time"
)

// admission bounds the logins in work: a broker that takes more than it can carry serves nobody.
// A login waits a short while for a place, then it is refused as busy.
type admission struct {
	slots chan struct{}
	wait  time.Duration
}

func newAdmission(capacity int, wait time.Duration) *admission {
	return &admission{slots: make(chan struct{}, capacity), wait: wait}
}

// enter takes a place; the caller gives it back with leave if it got one.
func (a *admission) enter(ctx context.Context) bool {
	select {
	case a.slots <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(a.wait)
	defer t.Stop()
	select {
	case a.slots <- struct{}{}:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

func (a *admission) leave() { <-a.slots }

// active is the number of logins in work, capacity how many there may be.
func (a *admission) active() int   { return len(a.slots) }
func (a *admission) capacity() int { return cap(a.slots) }
