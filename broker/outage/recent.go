package outage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"switchpoint/broker"
)

// copiesMost bounds the copies in memory (about 30 MB).
const copiesMost = 50_000

// copies are what this broker did at the database since the host cache was last brought up to date:
// what begins, uses and ends sessions. Writing all of it down would cost a login a fifth of its work, and
// nearly all of it is in the next copy of the cache; so it stands in memory and is written to node.db by
// the first call of an outage that looks for a session, and at the end of the process.
type copies struct {
	mu      sync.Mutex
	waiting []copyWrite // the oldest first
	lost    int64       // for want of room
	flush   sync.Mutex  // one at a time
}

// copyWrite is one of them.
type copyWrite struct {
	at time.Time
	do func(context.Context, nodeTx) error
}

func (c *copies) add(w copyWrite) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= copiesMost {
		c.waiting = append(c.waiting[:0], c.waiting[copiesMost/10:]...)
		c.lost += copiesMost / 10
	}
	c.waiting = append(c.waiting, w)
}

// forget drops what was done before a moment.
func (c *copies) forget(before time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.waiting) && c.waiting[n].at.Before(before) {
		n++
	}
	c.waiting = append([]copyWrite(nil), c.waiting[n:]...)
}

func (c *copies) take() []copyWrite {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.waiting
	c.waiting = nil
	return out
}

// giveBack puts first what could not be written.
func (c *copies) giveBack(list []copyWrite) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(list, c.waiting...)
}

func (c *copies) lostSoFar() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// copySession keeps a session that this broker has made in the database, for a time without it.
func (n *node) copySession(a broker.Act) {
	at := time.Now()
	n.copies.add(copyWrite{at, func(ctx context.Context, tx nodeTx) error { return keepSession(ctx, tx, &a, at, 0) }})
}

// copyUse does so for the use of one with an idle bound: the host cache has its end as it was when it was
// copied, which may have come by now.
func (n *node) copyUse(id string, at time.Time) {
	n.copies.add(copyWrite{at, func(ctx context.Context, tx nodeTx) error { return useSession(ctx, tx, id, at) }})
}

// copyLogout does so for the end of one.
func (n *node) copyLogout(id string) {
	n.copies.add(copyWrite{time.Now(), func(ctx context.Context, tx nodeTx) error { return endSession(ctx, tx, id) }})
}

// flush writes the copies down.
func (n *node) flush(ctx context.Context) error {
	n.copies.flush.Lock()
	defer n.copies.flush.Unlock()
	list := n.copies.take()
	if len(list) == 0 {
		return nil
	}
	err := n.write(ctx, func(ctx context.Context, tx nodeTx) error {
		for _, w := range list {
			if err := w.do(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		n.copies.giveBack(list)
		return fmt.Errorf("write down the sessions of before the outage: %w", err)
	}
	return nil
}
