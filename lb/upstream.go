package lb

import (
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"switchpoint/lb/choice"
)

const (
	// idleUpstream is how long an unused connection to a member is kept: below the idle limits
	// that servers usually have, so that we are the ones who close.
	idleUpstream = 30 * time.Second
	// maxIdlePerMember bounds the unused connections to one member.
	maxIdlePerMember = 512
	// headLimit bounds the head of a request and of an answer.
	headLimit = 16 << 10
)

// upstream is a member's state, which outlives tables: figures and open connections. It belongs
// to one pool and one address.
type upstream struct {
	choice.Stats
	id      uint32
	address string
	places
	answers [codeClasses]atomic.Uint64 // by class of status code
	chosen  chosen
	queue   queue // of clients whose session lives here, while it is full

	mu      sync.Mutex
	spec    dialSpec
	idle    []*upConn // the most recently used last
	retired bool
}

// upConn is one connection to a member, with what was read from it.
type upConn struct {
	wire
	fingerprint string
	reused      bool
	since       int64 // idle since then, on the proxy's clock
}

// use makes spec the way to connect. Idle connections made in another way are closed. It says
// whether the member was retired.
func (u *upstream) use(spec dialSpec) (again bool) {
	u.mu.Lock()
	var stale []*upConn
	if u.spec.fingerprint != spec.fingerprint {
		stale, u.idle = u.idle, nil
		u.spec = spec
	} else {
		u.spec.timeout = spec.timeout // keep the tls.Config with its session cache
	}
	again, u.retired = u.retired, false
	u.mu.Unlock()
	closeAll(stale)
	return again
}

// retire closes the idle connections; those in use are closed when they come back.
func (u *upstream) retire() {
	u.mu.Lock()
	u.retired = true
	u.mu.Unlock()
	u.dropIdle()
}

// dropIdle closes all idle connections: one of them was found dead.
func (u *upstream) dropIdle() {
	u.mu.Lock()
	stale := u.idle
	u.idle = nil
	u.mu.Unlock()
	closeAll(stale)
}

// expire closes the connections that were idle for too long.
func (u *upstream) expire(now int64) {
	u.mu.Lock()
	n := 0
	for n < len(u.idle) && now-u.idle[n].since > int64(idleUpstream) {
		n++
	}
	stale := slices.Clone(u.idle[:n])
	u.idle = slices.Delete(u.idle, 0, n)
	u.mu.Unlock()
	closeAll(stale)
}

func closeAll(conns []*upConn) {
	for _, c := range conns {
		c.end() // unused: nothing can be lost
	}
}

// take gives an idle connection, or nil.
func (u *upstream) take() *upConn {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(u.idle)
	if n == 0 {
		return nil
	}
	c := u.idle[n-1]
	u.idle[n-1] = nil
	u.idle = u.idle[:n-1]
	c.reused = true
	return c
}

// give returns a connection whose last answer was read to its end.
func (u *upstream) give(c *upConn, now int64) {
	c.since = now
	u.mu.Lock()
	ok := !u.retired && c.fingerprint == u.spec.fingerprint && len(u.idle) < maxIdlePerMember && len(c.data()) == 0
	if ok {
		c.lend()
		u.idle = append(u.idle, c)
	}
	u.mu.Unlock()
	if !ok {
		c.end()
	}
}

// dial opens a new connection for requests.
func (u *upstream) dial(client *clientConn) (*upConn, error) {
	spec := u.dialSpec()
	sock, conn, err := spec.open(u.address, client)
	if err != nil {
		return nil, err
	}
	c := &upConn{wire: wire{Conn: conn, pool: client.pool}, fingerprint: spec.fingerprint}
	c.sock, _ = sock.(*net.TCPConn)
	if conn == sock {
		c.useDescriptor()
	}
	return c, nil
}

// dialSpec is how to connect now.
func (u *upstream) dialSpec() dialSpec {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.spec
}

// open makes a connection to a member; conn is sock, or TLS above it. TCP has the pool's
// connect_timeout, and what comes before the first byte of a client once more.
func (d *dialSpec) open(address string, client *clientConn) (sock, conn net.Conn, err error) {
	if sock, err = net.DialTimeout("tcp", address, d.timeout); err != nil {
		return nil, nil, err
	}
	if conn, err = d.begin(sock, address, client); err != nil {
		_ = sock.Close()
		return nil, nil, err
	}
	return sock, conn, nil
}

// begin introduces the client where the pool has send_proxy, and shakes hands where it speaks TLS.
func (d *dialSpec) begin(sock net.Conn, address string, client *clientConn) (net.Conn, error) {
	if d.sendProxy == "" && d.tls == nil {
		return sock, nil
	}
	if err := sock.SetDeadline(time.Now().Add(d.timeout)); err != nil {
		return nil, err
	}
	if d.sendProxy != "" {
		if err := client.introduceTo(sock, d.sendProxy); err != nil {
			return nil, err
		}
	}
	conn := sock
	if d.tls != nil {
		var err error
		if conn, err = handshake(sock, address, d.tls); err != nil {
			return nil, err
		}
	}
	return conn, sock.SetDeadline(time.Time{})
}

func handshake(sock net.Conn, address string, cfg *tls.Config) (net.Conn, error) {
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	tc := tls.Client(sock, cfg)
	return tc, tc.Handshake()
}

// end closes the connection and gives its buffer back.
func (c *upConn) end() {
	c.free()
	_ = c.Close() // what it was good for is done or failed
}

// abort ends the connection under whoever uses it, without a TLS farewell that could block.
func (c *upConn) abort() {
	if c.sock != nil {
		_ = c.sock.Close() // its user sees the error
	}
}
