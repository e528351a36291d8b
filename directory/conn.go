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

// maxAge of a connection, so that a changed server list, certificate or balancer takes effect;
// spread by a fifth both ways so that they do not all end together.
const maxAge = 30 * time.Minute

// conn is one connection, used by one operation at a time.
type conn struct {
	wire   *wire
	guard  *guard
	ldap   *ldap.Conn
	dies   time.Time // maximum age
	used   time.Time // end of the last operation
	broken bool
}

// do runs op until the deadline (zero: none) or the end of ctx: go-ldap waits without a limit, so the socket has
// the deadline, and is closed when ctx ends. It is the only way in which a conn is used.
func (c *conn) do(ctx context.Context, deadline time.Time, expect answers, op func(*ldap.Conn) error) error {
	if ctx.Err() != nil {
		return classify(ctx, ctx.Err())
	}
	c.guard.begin(expect)
	c.wire.sent.Store(false)
	_ = c.wire.SetDeadline(deadline) // it fails on a closed socket only, as op will
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	err := classify(ctx, decode(c.ldap, op))
	if !stop() {
		c.broken = true // the socket is closed; what op returned before that still counts
	}
	c.used = time.Now()
	t, transport := errors.AsType[*transportError](err)
	switch {
	case transport:
		c.broken = true
		t.sent = c.wire.sent.Load()
		if !deadline.IsZero() && !c.used.Before(deadline) {
			t.err, t.timeout = errNoAnswer, true
		}
	case errors.Is(err, context.Canceled):
		c.broken = true
	case !c.broken:
		_ = c.wire.SetDeadline(time.Time{}) // an idle connection waits
	}
	return err
}

// decode runs op. go-ldap takes answers apart in here, in our goroutine, and a panic of it over a
// malformed one, of which the guard has let through none that we know, ends the connection only.
// (Its own goroutines recover by themselves.)
func decode(l *ldap.Conn, op func(*ldap.Conn) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &transportError{err: fmt.Errorf("the answer cannot be decoded: %v", p)}
		}
	}()
	return op(l)
}

// close ends the connection. The socket goes first: go-ldap's Close waits for a write that is
// under way, and a server that stopped reading would hold it for ever.
func (c *conn) close() {
	_ = c.wire.Close()
	_ = c.ldap.Close()
}

// usable says whether an idle connection may serve another operation.
func (c *conn) usable(now time.Time) bool {
	return !c.broken && !c.ldap.IsClosing() && now.Before(c.dies) && now.Sub(c.used) < DefaultIdle
}

// dialer makes connections to one server.
type dialer struct {
	address  string
	resolver *net.Resolver // nil: the system's
	tls      *tls.Config   // nil: plain
	startTLS bool
	// bindDN and password are the service account; connections for user binds have none.
	bindDN, password string
	facts            *atomic.Pointer[facts] // of the server; filled by the first connection
}

// dial connects, encrypts, and binds as the service account where there is one; the first
// connection asks what the server can. Every failure is a transportError with dial set, except
// the caller's cancellation: also a refused certificate or service account makes the server one
// that cannot be used.
func (d dialer) dial(ctx context.Context) (*conn, error) {
	c, err := d.connect(ctx)
	if err == nil {
		if err = d.begin(ctx, c); err != nil {
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

func (d dialer) begin(ctx context.Context, c *conn) error {
	if d.bindDN != "" {
		err := c.do(ctx, time.Time{}, bindAnswers, func(l *ldap.Conn) error { return l.Bind(d.bindDN, d.password) })
		if err != nil {
			return fmt.Errorf("bind as the service account: %w", err)
		}
	}
	if d.facts.Load() != nil {
		return nil
	}
	err := c.do(ctx, time.Time{}, searchAnswers, d.learn)
	if _, transport := errors.AsType[*transportError](err); transport || ctx.Err() != nil {
		return fmt.Errorf("read the root DSE: %w", err)
	}
	return nil // a server that does not tell can do its work all the same
}

// learn reads the server's facts.
func (d dialer) learn(l *ldap.Conn) error {
	res, err := l.Search(factsRequest(0))
	if err == nil && len(res.Entries) == 1 {
		d.facts.Store(newFacts(res.Entries[0]))
	}
	return err
}

func (d dialer) connect(ctx context.Context) (*conn, error) {
	tcp, err := (&net.Dialer{Resolver: d.resolver}).DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	raw := &wire{Conn: tcp}
	secure := net.Conn(raw)
	switch {
	case d.tls == nil:
	case d.startTLS:
		if secure, err = startTLS(ctx, raw, d.tls); err != nil {
			err = fmt.Errorf("StartTLS: %w", err)
		}
	default:
		encrypted := tls.Client(raw, d.tls)
		if err = encrypted.HandshakeContext(ctx); err != nil {
			err = fmt.Errorf("TLS: %w", err)
		}
		secure = encrypted
	}
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return newConn(raw, secure), nil
}

// newConn begins with LDAP on secure, which is raw or encrypts what goes over it.
func newConn(raw *wire, secure net.Conn) *conn {
	now := time.Now()
	age := maxAge*4/5 + rand.N(maxAge*2/5)
	c := &conn{wire: raw, guard: newGuard(secure), dies: now.Add(age), used: now}
	c.ldap = ldap.NewConn(c.guard, secure != net.Conn(raw))
	c.ldap.Start()
	return c
}
