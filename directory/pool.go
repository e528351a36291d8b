package directory

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errClosed is the end of a pool whose Client has stopped.
var errClosed = errors.New("the directory client has stopped")

// pool holds the connections to one server for one purpose. It opens at most as many as its gate
// lets operations in, on demand; the newest idle one serves first, so that a quiet pool shrinks by
// itself. The one connection that is kept warm is the search connection that the watcher uses: an
// unbound one that had no request yet would be dropped by Active Directory after 120 s.
type pool struct {
	dial func(context.Context) (*conn, error)
	gate *gate

	mu     sync.Mutex
	idle   []*conn // by the end of their last use
	closed bool
}

func newPool(size int, dial func(context.Context) (*conn, error)) *pool {
	return &pool{dial: dial, gate: newGate(size)}
}

// take gives the idle connection that was used last, or nil. The caller is inside the gate.
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

// put gives a connection back, before the place in the gate.
func (p *pool) put(c *conn) {
	if c.usable(time.Now()) && p.keep(c) {
		return
	}
	c.close()
}

func (p *pool) keep(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.idle = append(p.idle, c)
	return true
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

// size counts the connections: idle, and places taken (an operation that still dials counts).
func (p *pool) size() (idle, busy int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle), p.gate.state().used
}

// close refuses new operations, waits for those under way (Config.Timeout ends them at the
// latest), and closes every connection.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	p.gate.close()
}
