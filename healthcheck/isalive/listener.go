package isalive

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Bounds of answering a legacy probe: writing the page, and waiting for the client to close so
// that unread bytes do not turn our close into a reset that swallows the page.
const (
	writeTimeout  = 2 * time.Second
	lingerTimeout = 500 * time.Millisecond
	lingerBytes   = 64 << 10
)

// Listener wraps inner so that legacy probes (see the package text) are answered with what
// answer says, which gets the connection that inner accepted, and everything else passes
// through unchanged.
//
// The peek happens in the first Read of a connection, thus in the server's goroutine for it and
// under the server's read deadline. When inner yields *tls.Conn (tls.NewListener), a net/http
// server no longer sees that type: it does not fill Request.TLS (take the state from NetConn in
// Server.ConnContext) and speaks HTTP/1.1 only, so offer just that in NextProtos.
func Listener(inner net.Listener, answer func(net.Conn) Answer) net.Listener {
	return &listener{Listener: inner, answer: answer}
}

type listener struct {
	net.Listener
	answer func(net.Conn) Answer
}

func (l *listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, answer: l.answer}
	if t, ok := inner.(*tls.Conn); ok {
		return &secureConn{conn: c, tls: t}, nil
	}
	return c, nil
}

// conn is a connection whose first bytes are looked at before the server gets them.
type conn struct {
	net.Conn
	answer func(net.Conn) Answer

	mu      sync.Mutex // one Read at a time, as net.Conn promises to its callers
	decided bool
	held    []byte // read while deciding, not yet given to the server
	err     error  // what ended the reading while deciding
}

// NetConn gives the connection that the inner listener accepted.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite passes on: servers use it to close without losing their last answer.
func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

// Read gives the bytes of the connection, or io.EOF once a legacy probe has been answered.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.decided && len(p) > 0 {
		// The usual case: the first read decides, and its bytes are already where they belong.
		n, err := c.Conn.Read(p)
		switch decide(p[:n], errors.Is(err, io.EOF)) {
		case pass:
			c.decided = true
			return n, err
		case legacy:
			return 0, c.serve()
		}
		if err != nil {
			c.decided = true
			return n, err
		}
		c.held = append(make([]byte, 0, 1024), p[:n]...)
		if err := c.peek(); err != nil {
			return 0, err
		}
	}
	if len(c.held) > 0 {
		n := copy(p, c.held)
		if c.held = c.held[n:]; len(c.held) == 0 {
			c.held = nil
		}
		return n, nil
	}
	if c.err != nil {
		err := c.err
		c.err = nil
		return 0, err
	}
	return c.Conn.Read(p)
}

// peek reads until the connection is decided. Its error ends the connection for the server;
// after nil the server gets the held bytes, then c.err or the rest.
func (c *conn) peek() error {
	for {
		if len(c.held) == cap(c.held) {
			c.held = append(c.held, 0)[:len(c.held)]
		}
		had := len(c.held)
		n, err := c.Conn.Read(c.held[had:cap(c.held)])
		c.held = c.held[:had+n]
		if err == nil && had >= len(start) && had+n <= maxPeek && bytes.IndexByte(c.held[had:], '\n') < 0 {
			continue // only the end of a line can decide; do not judge a trickle byte by byte
		}
		v := decide(c.held, errors.Is(err, io.EOF))
		if v == more && err != nil {
			v = pass // a time-out or a reset: the server must hear of it
		}
		switch v {
		case legacy:
			return c.serve()
		case pass:
			c.decided, c.err = true, err
			return nil
		}
	}
}

// serve answers the probe and ends the connection. It always returns io.EOF.
func (c *conn) serve() error {
	c.decided, c.held, c.err = true, nil, nil
	defer c.Conn.Close()
	page := c.answer(c.Conn).Bytes()
	if page == nil {
		return io.EOF
	}
	if c.Conn.SetDeadline(time.Now().Add(writeTimeout)) != nil {
		return io.EOF
	}
	if _, err := c.Conn.Write(page); err != nil || closeWrite(c.Conn) != nil {
		return io.EOF
	}
	if c.Conn.SetDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // the page is out: nothing left to report
	}
	return io.EOF
}

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// secureConn lets servers that ask for these methods (fasthttp) see that TLS is spoken.
type secureConn struct {
	*conn
	tls *tls.Conn
}

// Handshake runs the TLS handshake if it has not run yet.
func (c *secureConn) Handshake() error { return c.tls.Handshake() }

// ConnectionState gives the TLS state of the connection.
func (c *secureConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }
