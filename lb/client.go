package lb

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of reading on after an answer that ends the connection while the client is still
// sending, so that the close does not reset it before the client has read the answer.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 64 << 20
)

// phase is what a client's connection is doing.
type phase int32

const (
	phaseNew     phase = iota // no byte of a request has come yet
	phaseIdle                 // between requests
	phaseActive               // a request is read, sent on or answered
	phaseSending              // a body is sent on as it arrives
	phaseAsking               // a member is waited for, and nothing of the client
	phaseQueued               // so, for a place at one
)

// clientConn is a client's connection as the server holds it. One goroutine owns it, and the
// connection to the member while a request is there; only an upload that is not here at once and
// a tunnel have a second one.
type clientConn struct {
	wire
	limit
	raw    net.Conn
	fd     int32      // 0: not looked up yet; the watcher's only
	ended  bool       // the client has closed its side; the watcher's only
	peer   netip.Addr // the client, as the PROXY protocol or the connection itself says
	from   netip.AddrPort
	to     netip.AddrPort
	number uint64 // of the connections of this process
	// requests counts those that came on it; used by the serving goroutine only.
	requests    uint64
	headerLimit int
	tlsVersion  string // empty: plain
	state       atomic.Int32
	linger      bool    // read on before closing; used by the serving goroutine only
	own         ownConn // used by the serving goroutine only
	// upstream is the connection that this client's request waits on, so that the end of a
	// drain or of a time limit can break it off.
	upstream atomic.Pointer[upConn]
	// waits is set while the request waits for a place at a member.
	waits atomic.Pointer[waiter]
	// tcp is the session of a connection to a tcp listener.
	tcp atomic.Pointer[tcpSession]
}

func (p *Proxy) newClientConn(raw net.Conn) *clientConn {
	c := &clientConn{wire: wire{Conn: raw, pool: &p.buffers}, raw: raw, headerLimit: headLimit}
	c.sock, _ = raw.(*net.TCPConn)
	if a, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
		c.from = plainAddr(a.AddrPort())
		c.peer = c.from.Addr()
	}
	if a, ok := raw.LocalAddr().(*net.TCPAddr); ok {
		c.to = plainAddr(a.AddrPort())
	}
	return c
}

func (c *clientConn) enter(s phase)   { c.state.Store(int32(s)) }
func (c *clientConn) in(s phase) bool { return phase(c.state.Load()) == s }
func (c *clientConn) idle() bool      { return c.in(phaseIdle) }
func (c *clientConn) fresh() bool     { return c.in(phaseNew) }

// end closes the connection and all that belongs to it, after an answer that the client may not
// have read yet only when it had a chance to.
func (c *clientConn) end() {
	c.dropOwn()
	c.free()
	if c.linger {
		if w, ok := c.Conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil &&
			c.raw.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.CopyN(io.Discard, c.raw, lingerBytes) // what comes is refused already
		}
	}
	_ = c.Conn.Close() // nothing is left to be sent
}

// reset closes the connection so that the client can tell it from the end of an answer.
func (c *clientConn) reset() {
	c.linger = false // that would end it in the ordinary way first
	if c.sock != nil {
		_ = c.sock.SetLinger(0) // else it is closed in the ordinary way
	}
}

// connSet is the open connections of a listener.
type connSet struct {
	mu sync.Mutex
	m  map[*clientConn]struct{}
}

func (s *connSet) add(c *clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[*clientConn]struct{})
	}
	s.m[c] = struct{}{}
}

func (s *connSet) remove(c *clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, c)
}

func (s *connSet) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}

// each calls f for every connection. f must not block.
func (s *connSet) each(f func(*clientConn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.m {
		f(c)
	}
}

// cutWaits ends all waits for a place.
func (s *connSet) cutWaits() {
	s.each(func(c *clientConn) {
		if w := c.waits.Load(); w != nil {
			w.cutOff()
		}
	})
}

// closeWhere closes the sockets of the connections that which names, and what they wait on.
func (s *connSet) closeWhere(which func(*clientConn) bool) {
	s.each(func(c *clientConn) {
		if which(c) {
			if s := c.tcp.Load(); s != nil {
				s.cut(drained)
				return
			}
			_ = c.raw.Close() // its own goroutine sees the error and ends
			if up := c.upstream.Load(); up != nil {
				up.abort()
			}
		}
	})
}
