package directory

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errClosed is the end of a pool whose Client has stopped.
var errClosed = errors.New("the directory client has stopped")

// pool holds the connections to one server for one purpose. It opens at most as many as it has
// slots, on demand; the newest idle one serves first, so that a quiet pool shrinks by itself.
// The one connection that is kept warm is the search connection that the watcher uses: an unbound
// one that had no request yet would be dropped by Active Directory after 120 s.
type pool struct {
	dial  func(context.Context) (*conn, error)
	slots chan struct{} // a value in it is an operation under way
	done  chan struct{} // closed by close

	mu   sync.Mutex
	idle []*conn // by the end of their last use
}

func newPool(size int, dial func(context.Context) (*conn, error)) *pool {
	return &pool{dial: dial, slots: make(chan struct{}, size), done: make(chan struct{})}
}

// acquire waits for a slot.
func (p *pool) acquire(ctx context.Context) error {
	select {
	case <-p.done:
		return errClosed
	default:
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-p.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryAcquire takes a slot if one is free.
func (p *pool) tryAcquire() bool {
	select {
	case p.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *pool) release() { <-p.slots }

// take gives the idle connection that was used last, or nil. The caller holds a slot.
func (p *pool) take(now time.Time) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.usable(now) {
			return c
		}
		c.close()
	}
	return nil
}

// put gives a connection back, before the slot.
func (p *pool) put(c *conn) {
	if c.usable(time.Now()) && p.keep(c) {
		return
	}
	c.close()
}

func (p *pool) keep(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return false
	default:
		p.idle = append(p.idle, c)
		return true
	}
}

// reap closes the idle connections that must not be used any more.
func (p *pool) reap(now time.Time) {
	p.mu.Lock()
	var dead []*conn
	kept := p.idle[:0]
	for _, c := range p.idle {
		if c.usable(now) {
			kept = append(kept, c)
		} else {
			dead = append(dead, c)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.mu.Unlock()
	for _, c := range dead {
		c.close()
	}
}

// size counts the connections: idle, and slots in use (an operation that still dials counts).
func (p *pool) size() (idle, busy int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle), len(p.slots)
}

// close refuses new operations, waits for those under way, and closes every connection.
func (p *pool) close() {
	p.mu.Lock()
	close(p.done)
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	for range cap(p.slots) {
		p.slots <- struct{}{} // an operation ends by Config.Timeout at the latest
	}
}
