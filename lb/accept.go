package lb

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"switchpoint/healthcheck/isalive"
)

const (
	// handshakeTimeout bounds a client's TLS handshake.
	handshakeTimeout = 10 * time.Second
	// freshGrace is how long a connection without a request may still bring one while draining.
	freshGrace = 500 * time.Millisecond
)

// listener is one bound address, with what a table sets of it.
type listener struct {
	n            int
	name, listen string
	secure       bool
	tcp          bool // mode = "tcp"
	ln           net.Listener
	tls          atomic.Pointer[tls.Config] // keeps the keys of session tickets over reloads
	certs        atomic.Pointer[certSet]
	conns        connSet

	// Guarded by Proxy.mu.
	ticketEpoch int64 // of the keys in use, where they come from a secret; 0: crypto/tls turns its own
}

func (p *Proxy) newListener(n int, l Listener, ln net.Listener) *listener {
	out := &listener{n: n, name: l.Name, listen: l.Listen, secure: l.Cert != "", tcp: l.Mode == modeTCP, ln: ln}
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
		c := p.newClientConn(raw)
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
		c.headerLimit = live.listeners[l.n].headerLimit
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
		c.inner, c.Conn = c.Conn, conn
	} else if _, early := c.Conn.(*begunConn); early {
		c.inner = c.Conn
	} else if c.Conn == c.raw {
		c.useDescriptor()
	}
	p.serveRequests(l, c)
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
