package logins

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a client.
const (
	dnsTimeout     = 2 * time.Second
	connectTimeout = 10 * time.Second
	// answerTimeout is above the 120 s for which a broker may keep a login.
	answerTimeout = 130 * time.Second
)

// clients are the thin clients of a process. Each user has an address of 127.64.0.0/10.
type clients struct {
	t      task
	tls    *tls.Config
	run    string // tells the keys of this process from those of others
	kept   chan *conn
	next   atomic.Int64 // turn of Targets
	buffer sync.Pool
}

// conn is a connection of one client.
type conn struct {
	net.Conn
	in     reader
	out    []byte
	source netip.Addr
}

func newClients(t task) (*clients, error) {
	c := &clients{t: t, run: fmt.Sprintf("%x", time.Now().UnixNano())}
	c.buffer.New = func() any { return &conn{in: reader{r: bufio.NewReaderSize(nil, 4096)}} }
	if !t.TLS {
		return c, nil
	}
	roots, err := rootsOf(t.CA)
	if err != nil {
		return nil, err
	}
	c.tls = clientTLS(roots, t.Name)
	return c, nil
}

// clientTLS is TLS 1.3 without resumption. The chain of a certificate is verified when it is first
// seen; the handshake proves each time that the server has its key.
func clientTLS(roots *x509.CertPool, name string) *tls.Config {
	var known atomic.Pointer[string]
	return &tls.Config{
		ServerName: name, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}, SessionTicketsDisabled: true,
		InsecureSkipVerify: true, //nolint:gosec // G402: VerifyConnection does it, once for each certificate
		VerifyConnection: func(s tls.ConnectionState) error {
			leaf := s.PeerCertificates[0]
			if k := known.Load(); k != nil && *k == string(leaf.Raw) {
				return nil
			}
			others := x509.NewCertPool()
			for _, c := range s.PeerCertificates[1:] {
				others.AddCert(c)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: others}); err != nil {
				return err
			}
			raw := string(leaf.Raw)
			known.Store(&raw)
			return nil
		},
	}
}

// sourceOf is the address of the i-th client: one of 127.64.0.0/10.
func sourceOf(i int) netip.Addr {
	const span = 1<<22 - 2
	n := uint32(127<<24|64<<16) + 1 + uint32(i%span)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// runClients plays them.
func runClients(ctx context.Context, t task, ready func(string) error) (*Result, error) {
	c, err := newClients(t)
	if err != nil {
		return nil, err
	}
	defer c.closeKept()
	if err := c.openKept(ctx); err != nil {
		return nil, err
	}
	if err := ready(""); err != nil {
		return nil, err
	}
	return drive(ctx, t, c.visit).result(t.Journey)
}

// openKept opens the connections that stay, each from an address of its own.
func (c *clients) openKept(ctx context.Context) error {
	c.kept = make(chan *conn, c.t.Kept)
	for i := range c.t.Kept {
		conn, err := c.open(ctx, sourceOf(i))
		if err != nil {
			return err
		}
		c.kept <- conn
	}
	return nil
}

func (c *clients) closeKept() {
	for {
		select {
		case conn := <-c.kept:
			_ = conn.Close()
		default:
			return
		}
	}
}

// where resolves the name, or takes the next target.
func (c *clients) where(source netip.Addr) (string, error) {
	if c.t.DNS == "" {
		return c.t.Targets[int(c.next.Add(1)-1)%len(c.t.Targets)], nil
	}
	addr, err := resolve(source, c.t.DNS, c.t.Name, dnsTimeout)
	if err != nil {
		return "", kind("resolve", err)
	}
	return net.JoinHostPort(addr.String(), c.t.Port), nil
}

// open resolves and connects.
func (c *clients) open(ctx context.Context, source netip.Addr) (*conn, error) {
	target, err := c.where(source)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: connectTimeout, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), Control: latePort, KeepAlive: -1}
	raw, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, kind("connect", err)
	}
	out := c.buffer.Get().(*conn) //nolint:forcetypeassert // New makes nothing else
	out.Conn, out.source = raw, source
	if c.tls != nil {
		secure := tls.Client(raw, c.tls)
		_ = secure.SetDeadline(time.Now().Add(connectTimeout))
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, kind("TLS", err)
		}
		out.Conn = secure
	}
	out.in.r.Reset(out.Conn)
	return out, nil
}

// give closes a connection and keeps its buffers.
func (c *clients) give(conn *conn) {
	_ = conn.Close()
	conn.in.r.Reset(nil)
	c.buffer.Put(conn)
}

// take gets a kept connection, whose client still asks DNS as it does for each login.
func (c *clients) take(ctx context.Context) (*conn, error) {
	var got *conn
	select {
	case got = <-c.kept:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.t.DNS != "" {
		if _, err := c.where(got.source); err != nil {
			c.kept <- got
			return nil, err
		}
	}
	return got, nil
}

// ask sends a request and reads its answer. The request is in conn.out.
func (c *conn) ask() (answer, error) {
	_ = c.SetDeadline(time.Now().Add(answerTimeout))
	if _, err := c.Write(c.out); err != nil {
		return answer{}, kind("send", err)
	}
	a, err := c.in.next()
	if err != nil {
		return a, kind("receive", err)
	}
	return a, nil
}

// kind makes errors of one kind read alike, whatever the addresses in them: they are counted by text.
func kind(step string, err error) error {
	var op *net.OpError
	var dns net.Error
	switch {
	case errors.As(err, &dns) && dns.Timeout():
		return fmt.Errorf("%s: no answer in time", step)
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w", step, op.Err)
	}
	return fmt.Errorf("%s: %w", step, err)
}
