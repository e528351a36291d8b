package outagebench

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// relayDial bounds the way from the relay to the server, which is on this machine.
const relayDial = 3 * time.Second

// relay is a way to a server that can fall silent: connections stay, new ones are taken, and no byte
// passes, as with a cable that is cut or a firewall that drops.
type relay struct {
	to       string
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	silent chan struct{} // not nil: nothing passes until it is closed
	conns  map[net.Conn]bool
	closed bool
}

// newRelay listens on a free port of the host and carries to the address.
func newRelay(host, to string) (*relay, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("a relay to the database: %w", err)
	}
	r := &relay{to: to, listener: l, conns: make(map[net.Conn]bool)}
	r.wg.Go(r.accept)
	return r, nil
}

func (r *relay) addr() string { return r.listener.Addr().String() }

func (r *relay) accept() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		if !r.keep(in) {
			return
		}
		r.wg.Go(func() { r.connect(in) })
	}
}

// keep notes a connection; false when the relay is closed, and the connection then is, too.
func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_ = c.Close()
		return false
	}
	r.conns[c] = true
	return true
}

func (r *relay) forget(c net.Conn) {
	_ = c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// connect carries one connection, both ways, until it ends.
func (r *relay) connect(in net.Conn) {
	defer r.forget(in)
	r.pass()
	out, err := (&net.Dialer{Timeout: relayDial}).DialContext(context.Background(), "tcp", r.to) // close waits for it
	if err != nil || !r.keep(out) {
		return
	}
	defer r.forget(out)
	back := make(chan struct{})
	go func() {
		defer close(back)
		r.carry(in, out)
	}()
	r.carry(out, in)
	<-back
}

// carry copies until one end is closed, and closes the other one.
func (r *relay) carry(from, to net.Conn) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.pass()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = from.Close()
}

// pass waits while the relay is silent.
func (r *relay) pass() {
	r.mu.Lock()
	silent := r.silent
	r.mu.Unlock()
	if silent != nil {
		<-silent
	}
}

func (r *relay) fallSilent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.silent == nil {
		r.silent = make(chan struct{})
	}
}

func (r *relay) speak() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.silent != nil {
		close(r.silent)
		r.silent = nil
	}
}

// close ends all connections.
func (r *relay) close() {
	r.speak()
	_ = r.listener.Close()
	r.mu.Lock()
	r.closed = true
	for c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
