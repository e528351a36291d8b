package lb

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"switchpoint/healthcheck/isalive"
)

const (
	// maxRequestBody bounds a request's body, which is read whole.
	maxRequestBody = 4 << 20
	// handshakeTimeout bounds a client's TLS handshake.
	handshakeTimeout = 10 * time.Second
	// freshGrace is how long a connection without a request may still bring one while draining.
	freshGrace = 500 * time.Millisecond
	// Bounds of reading on after a refused request, so that the close does not reset the
	// connection before the client has read why.
	lingerTime  = 2 * time.Second
	lingerBytes = 4 << 20
)

// listener is one bound address, with what a table sets of it.
type listener struct {
	n            int
	name, listen string
	secure       bool
	tcp          bool // mode = "tcp"
	ln           net.Listener
	server       atomic.Pointer[fasthttp.Server] // made for the header limit in force
	tls          atomic.Pointer[tls.Config]      // keeps the keys of session tickets over reloads
	certs        atomic.Pointer[certSet]
	conns        connSet

	// Guarded by Proxy.mu.
	headerLimit int
	ticketEpoch int64 // of the keys in use, where they come from a secret; 0: crypto/tls turns its own
}

func (p *Proxy) newListener(n int, l Listener, ln net.Listener) *listener {
	out := &listener{n: n, name: l.Name, listen: l.Listen, secure: l.Cert != "", tcp: l.Mode == modeTCP, ln: ln, headerLimit: DefaultHeaderLimit}
	out.server.Store(p.newServer(n, out.headerLimit))
	if out.secure {
		out.tls.Store(out.newTLS())
	}
	return out
}

func (l *listener) newTLS() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: l.certificate}
	if l.tcp {
		c.NextProtos = nil // what is spoken inside is not ours to say
	}
	return c
}

// use puts to work what a table sets of the listener itself. p.mu is held.
func (l *listener) use(lt *listenerTable, p *Proxy) {
	if l.headerLimit != lt.headerLimit {
		l.headerLimit = lt.headerLimit
		l.server.Store(p.newServer(l.n, l.headerLimit))
	}
	if l.secure {
		l.certs.Store(lt.certs)
		p.turnTickets(l, lt.tickets, time.Now(), true)
	}
}

// accept takes connections until the listener is closed and serves each in its own goroutine,
// counted in serving.
func (p *Proxy) accept(l *listener, serving *sync.WaitGroup) error {
	wait := time.Duration(0)
	for {
		raw, err := l.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil { // out of descriptors, or the client gave up in the queue: go on
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			p.log.Warn("lb: accept failed", "listener", l.name, "error", err, "wait", wait)
			time.Sleep(wait)
			continue
		}
		wait = 0
		c := newClientConn(raw)
		c.number = p.connections.Add(1)
		l.conns.add(c)
		serving.Go(func() {
			defer l.conns.remove(c)
			p.serveConn(l, c)
		})
	}
}

func (p *Proxy) serveConn(l *listener, c *clientConn) {
	live := p.live.Load()
	if live != nil {
		c.guard.limit = live.listeners[l.n].headerLimit
		if live.listeners[l.n].proxy != "" && !p.introduce(live.listeners[l.n], c) {
			_ = c.Conn.Close() // it may not speak HTTP or TLS: there is no way to say why
			return
		}
	}
	if l.secure {
		tc := tls.Server(c.Conn, l.tls.Load())
		if err := c.Conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil || tc.Handshake() != nil {
			_ = c.Conn.Close() // no TLS, no way to say why
			return
		}
		if err := c.Conn.SetDeadline(time.Time{}); err != nil {
			_ = c.Conn.Close()
			return
		}
		c.Conn, c.tlsVersion = tc, tls.VersionName(tc.ConnectionState().Version)
	}
	if l.tcp {
		p.serveTCP(l, c)
		return
	}
	if live != nil && live.listeners[l.n].legacyProbe {
		peeked := isalive.Listener(single{c.Conn}, func(net.Conn) isalive.Answer { return p.legacyAnswer(l.n) })
		conn, err := peeked.Accept()
		if err != nil {
			_ = c.Conn.Close()
			return
		}
		c.Conn = conn
	}
	// Its error is about this client and may quote the request: it was answered, not logged.
	_ = l.server.Load().ServeConn(c)
	c.dropOwn()
}

// introduce reads who the client is, where the listener speaks the PROXY protocol. Only trusted
// proxies may say so, and whoever says nothing is not served.
func (p *Proxy) introduce(l *liveListener, c *clientConn) bool {
	if contains(l.trusted, c.peer) {
		if h, rest, err := readProxy(c.raw, l.proxy); err == nil {
			if h.known {
				c.peer, c.from, c.to = h.from.Addr(), h.from, h.to
			}
			if len(rest) > 0 {
				c.Conn = &begunConn{Conn: c.raw, rest: rest}
			}
			return true
		}
	}
	p.metrics.proxyErrors.WithLabelValues(l.name).Inc()
	return false
}

// single is a listener with one connection: the form in which isalive takes one.
type single struct{ conn net.Conn }

func (s single) Accept() (net.Conn, error) { return s.conn, nil }
func (s single) Close() error              { return nil }
func (s single) Addr() net.Addr            { return s.conn.LocalAddr() }

// clientConn is a client's connection as the server holds it.
type clientConn struct {
	net.Conn
	raw    net.Conn
	peer   netip.Addr // the client, as the PROXY protocol or the connection itself says
	from   netip.AddrPort
	to     netip.AddrPort
	number uint64 // of the connections of this process
	// requests counts those that came on it; used by the serving goroutine only.
	requests   uint64
	tlsVersion string       // empty: plain
	own        ownConn      // used by the serving goroutine only
	state      atomic.Int32 // fasthttp.ConnState
	linger     bool         // read on before closing; used by the serving goroutine only
	guard      guard        // of what the client sends; used by the serving goroutine only
	// upstream is the connection that this client's request waits on, so that the end of a
	// drain can break it off.
	upstream atomic.Pointer[upConn]
	// tcp is the session of a connection to a tcp listener.
	tcp atomic.Pointer[tcpSession]
}

func newClientConn(raw net.Conn) *clientConn {
	c := &clientConn{Conn: raw, raw: raw, guard: guard{limit: headLimit}}
	if a, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
		c.from = plainAddr(a.AddrPort())
		c.peer = c.from.Addr()
	}
	if a, ok := raw.LocalAddr().(*net.TCPAddr); ok {
		c.to = plainAddr(a.AddrPort())
	}
	return c
}

func connState(nc net.Conn, s fasthttp.ConnState) {
	if c, ok := nc.(*clientConn); ok {
		c.state.Store(int32(s))
	}
}

func (c *clientConn) idle() bool  { return fasthttp.ConnState(c.state.Load()) == fasthttp.StateIdle }
func (c *clientConn) fresh() bool { return fasthttp.ConnState(c.state.Load()) == fasthttp.StateNew }

// Read gives what the guard lets through. After a refusal it gives that, and reads no more.
func (c *clientConn) Read(p []byte) (int, error) {
	for c.guard.bad == nil {
		n, err := c.Conn.Read(p)
		if n = c.guard.admit(p[:n]); n > 0 || err != nil {
			return n, err
		}
	}
	if c.guard.tell && len(p) > 0 {
		c.guard.tell = false
		p[0] = '?'
		return 1, nil
	}
	return 0, c.guard.bad
}

// Close closes the connection, after a refusal only when the client had a chance to read it.
func (c *clientConn) Close() error {
	if c.linger {
		c.linger = false
		if w, ok := c.Conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil &&
			c.raw.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.CopyN(io.Discard, c.raw, lingerBytes) // what comes is refused already
		}
	}
	return c.Conn.Close()
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

// closeWhere closes the sockets of the connections that which names, and what they wait on.
func (s *connSet) closeWhere(which func(*clientConn) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.m {
		if which(c) {
			if s := c.tcp.Load(); s != nil {
				s.cut(drained)
				continue
			}
			_ = c.raw.Close() // its own goroutine sees the error and ends
			if up := c.upstream.Load(); up != nil {
				up.abort()
			}
		}
	}
}

// expect answers Expect: 100-continue before a body that would be refused is sent.
func expect(ctx *fasthttp.RequestCtx) int {
	if ctx.Request.Header.ContentLength() > maxRequestBody {
		return fasthttp.StatusRequestEntityTooLarge
	}
	return fasthttp.StatusContinue
}

// forgetOldExpect makes the server ignore an expectation in HTTP/1.0 (RFC 9110 10.1.1).
func forgetOldExpect(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if !h.IsHTTP11() {
		h.Del(fasthttp.HeaderExpect)
	}
	return fasthttp.RequestConfig{}
}

// parseError answers what the server could not read as a request.
func (p *Proxy) parseError(n int, ctx *fasthttp.RequestCtx, err error) {
	status, text := fasthttp.StatusBadRequest, "malformed request"
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		status, text = fasthttp.StatusRequestHeaderFieldsTooLarge, errHeadSize.text
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		status, text = fasthttp.StatusRequestEntityTooLarge, "the body is larger than 4 MB"
	case isTimeout(err):
		status, text = fasthttp.StatusRequestTimeout, "the request did not arrive in time"
	}
	if c, ok := ctx.Conn().(*clientConn); ok {
		c.linger = status != fasthttp.StatusRequestTimeout
		if bad := c.guard.bad; bad != nil {
			status, text = bad.status, bad.text
		}
	}
	refuse(ctx, status, text)
	if live := p.live.Load(); live != nil {
		live.listeners[n].own().count(-1, status)
		p.logRefusal(live.listeners[n], ctx, status, text)
	}
}
