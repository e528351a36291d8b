package healthcheck

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// dialer opens the connections of all probes of a table.
type dialer struct {
	resolver *net.Resolver
	net      net.Dialer
	proxy    []byte // begins each connection
}

// proxyHeader is what a prober says of its own connection in a version of the PROXY protocol:
// UNKNOWN in v1, LOCAL in v2 (haproxy proxy-protocol.txt 2.1, 2.2); nil for no version.
func proxyHeader(version string) []byte {
	switch version {
	case "v1":
		return []byte("PROXY UNKNOWN\r\n")
	case "v2":
		return []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
	}
	return nil
}

// introduced gives a dialer that begins its connections as m wants it.
func (d *dialer) introduced(m Monitor) *dialer {
	if m.SendProxy == "" {
		return d
	}
	own := *d
	own.proxy = proxyHeader(m.SendProxy)
	return &own
}

// newDialer uses the DNS server of the settings for host names, or the system's resolver.
func newDialer(s Settings) *dialer {
	d := &dialer{resolver: net.DefaultResolver, net: net.Dialer{KeepAlive: -1}}
	if s.Resolver != "" {
		var to net.Dialer
		d.resolver = &net.Resolver{
			PreferGo: true,
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return to.DialContext(ctx, network, s.Resolver)
			},
		}
	}
	return d
}

// wire is one connection, of one probe or of several one after the other. Close must be called.
type wire struct {
	net.Conn
	release func() bool
	uses    int       // probes that it carried
	expiry  time.Time // of the certificate that the target showed on it
}

// Close ends the connection and its watch over the context.
func (w *wire) Close() error {
	w.release()
	return w.Conn.Close()
}

// dial resolves and connects, and fills the steps of r. On failure it has said why in r and
// returns nil. The connection obeys the deadline and the end of ctx.
func (d *dialer) dial(ctx context.Context, address string, r *Result) *wire {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		r.down("the address is no host:port: " + deepest(err))
		return nil
	}
	addrs := []string{host}
	if _, err := netip.ParseAddr(host); err != nil {
		start := time.Now()
		addrs, err = d.lookup(ctx, host)
		r.Resolve = time.Since(start)
		if err != nil {
			r.failResolve(ctx, host, err)
			return nil
		}
	}
	start := time.Now()
	conn, err := d.connect(ctx, addrs, port)
	r.Dial = time.Since(start)
	if err != nil {
		r.fail(ctx, inConnect, err)
		return nil
	}
	if end, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(end)
	}
	if err != nil {
		_ = conn.Close() // the connection is already broken: its first error is the reason
		r.fail(ctx, inConnect, err)
		return nil
	}
	if len(d.proxy) > 0 {
		if _, err = conn.Write(d.proxy); err != nil {
			_ = conn.Close()
			r.fail(ctx, inSend, err)
			return nil
		}
	}
	release := context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // wakes every wait; a closed connection has none
	})
	return &wire{Conn: conn, release: release}
}

// lookup waits for the resolver at most until the deadline of ctx, which need not end by itself.
// dialAndSend is dial for a conversation that begins with send, which may be empty.
func (d *dialer) dialAndSend(ctx context.Context, address string, send []byte, r *Result) *wire {
	conn := d.dial(ctx, address, r)
	if conn == nil || len(send) == 0 {
		return conn
	}
	if _, err := conn.Write(send); err != nil {
		r.fail(ctx, inSend, err)
		_ = conn.Close()
		return nil
	}
	return conn
}

// dialFor is dial for a connection that TLS, where it is not nil, will be spoken on: the engine must
// still have a handshake for this second.
func (d *dialer) dialFor(ctx context.Context, secure *tls.Config, address string, r *Result) *wire {
	if secure != nil && !mayEncrypt(ctx, r) {
		return nil
	}
	return d.dial(ctx, address, r)
}

func (d *dialer) lookup(ctx context.Context, host string) ([]string, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end)
		defer cancel()
	}
	return d.resolver.LookupHost(ctx, host)
}

// connect tries the addresses in order and gives each an equal share of the time that is left.
// The error is the first one: it is that of the address that a client would try first.
func (d *dialer) connect(ctx context.Context, addrs []string, port string) (net.Conn, error) {
	var first error
	for i, a := range addrs {
		conn, err := d.connectOne(ctx, net.JoinHostPort(a, port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

func (d *dialer) connectOne(ctx context.Context, address string, shares int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok && shares > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(shares))
		defer cancel()
	}
	return d.net.DialContext(ctx, "tcp", address)
}
