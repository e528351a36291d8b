package outage

import (
	"net"
	"sync"
	"testing"
	"time"
)

// cable is a TCP way to a server that can be cut and slowed down.
type cable struct {
	to       string
	listener net.Listener
	mu       sync.Mutex
	cut      chan struct{} // not nil: nothing passes until it is closed, and connections stay open
	delay    time.Duration // of every piece
	conns    map[net.Conn]bool
	wg       sync.WaitGroup
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{to: to, listener: l, conns: make(map[net.Conn]bool)}
	c.wg.Go(c.accept)
	t.Cleanup(func() {
		_ = l.Close()
		c.heal()
		c.mu.Lock()
		for conn := range c.conns {
			_ = conn.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

func (c *cable) accept() {
	for {
		in, err := c.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		c.mu.Lock()
		c.conns[in], c.conns[out] = true, true
		c.mu.Unlock()
		c.wg.Go(func() { c.carry(in, out) })
		c.wg.Go(func() { c.carry(out, in) })
	}
}

func (c *cable) carry(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		cut, delay := c.cut, c.delay
		c.mu.Unlock()
		if cut != nil {
			<-cut
		}
		time.Sleep(delay) // what the cable is for
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// sever lets nothing through any more and tells nobody.
func (c *cable) sever() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = make(chan struct{})
}

func (c *cable) slow(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

func (c *cable) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = 0
	if c.cut != nil {
		close(c.cut)
		c.cut = nil
	}
}
