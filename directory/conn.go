package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// maxAnswer bounds what a server may send for one operation. memberOf of Active Directory
	// ends at 1500 values, about 200 KB.
	maxAnswer = 4 << 20
	// maxAge of a connection, so that a changed server list, certificate or balancer takes
	// effect; spread by a fifth both ways so that they do not all end together.
	maxAge = 30 * time.Minute
)

// conn is one connection, used by one operation at a time.
type conn struct {
	raw    *boundedConn
	ldap   *ldap.Conn
	dies   time.Time // maximum age
	used   time.Time // end of the last operation
	broken bool
}

// do runs op and makes it end with ctx: go-ldap waits without a limit, so the end of ctx closes
// the socket under it. It is the only way in which a conn is used.
func (c *conn) do(ctx context.Context, op func(*ldap.Conn) error) error {
	if ctx.Err() != nil {
		return classify(ctx, ctx.Err())
	}
	c.raw.left.Store(maxAnswer)
	c.raw.sent.Store(false)
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	err := op(c.ldap)
	if !stop() {
		c.broken = true // the socket is closed; what op returned before that still counts
	}
	err = classify(ctx, err)
	var t *transportError
	if errors.As(err, &t) || errors.Is(err, context.Canceled) {
		c.broken = true
	}
	if t != nil {
		t.sent = c.raw.sent.Load()
	}
	c.used = time.Now()
	return err
}

// close ends the connection. The socket goes first: go-ldap's Close waits for a write that is
// under way, and a server that stopped reading would hold it for ever.
func (c *conn) close() {
	_ = c.raw.Close()
	_ = c.ldap.Close()
}

// usable says whether an idle connection may serve another operation.
func (c *conn) usable(now time.Time) bool {
	return !c.broken && !c.ldap.IsClosing() && now.Before(c.dies) && now.Sub(c.used) < DefaultIdle
}

// dialer makes connections to one server.
type dialer struct {
	address  string
	tls      *tls.Config // nil: plain
	startTLS bool
	// bindDN and password are the service account; connections for user binds have none.
	bindDN, password string
}

// dial connects, encrypts, and binds as the service account where there is one. Every failure is
// a transportError with dial set, except the caller's cancellation: also a refused certificate
// or service account makes the server one that cannot be used.
func (d dialer) dial(ctx context.Context) (*conn, error) {
	c, err := d.connect(ctx)
	if err == nil && d.bindDN != "" {
		err = c.do(ctx, func(l *ldap.Conn) error { return l.Bind(d.bindDN, d.password) })
		if err != nil {
			err = fmt.Errorf("bind as the service account: %w", err)
			c.close()
		}
	}
	switch {
	case err == nil:
		return c, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	}
	return nil, &transportError{err: err, dial: true, timeout: ctx.Err() != nil}
}

func (d dialer) connect(ctx context.Context) (*conn, error) {
	tcp, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	age := maxAge*4/5 + rand.N(maxAge*2/5)
	c := &conn{raw: &boundedConn{Conn: tcp}, dies: now.Add(age), used: now}
	c.raw.left.Store(maxAnswer)
	if d.tls == nil || d.startTLS {
		c.ldap = ldap.NewConn(c.raw, false)
		c.ldap.Start()
		if d.tls == nil {
			return c, nil
		}
		if err := c.do(ctx, func(l *ldap.Conn) error { return l.StartTLS(d.tls) }); err != nil {
			c.close()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
		return c, nil
	}
	encrypted := tls.Client(c.raw, d.tls)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	c.ldap = ldap.NewConn(encrypted, true)
	c.ldap.Start()
	return c, nil
}

// boundedConn fails a read when one operation's answer gets out of hand, and knows whether any
// byte of the operation went out.
type boundedConn struct {
	net.Conn
	left atomic.Int64
	sent atomic.Bool
}

func (b *boundedConn) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	if n > 0 {
		b.sent.Store(true)
	}
	return n, err
}

func (b *boundedConn) Read(p []byte) (int, error) {
	if b.left.Load() <= 0 {
		return 0, fmt.Errorf("the server sent more than %d bytes for one operation", maxAnswer)
	}
	n, err := b.Conn.Read(p)
	b.left.Add(int64(-n))
	return n, err
}
