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
	queue   queue                      // of clients whose session lives here, while it is full

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

// dial opens a new connection; TCP and the TLS handshake each have the pool's connect_timeout.
// One of a pool with send_proxy is introduced as client's.
func (u *upstream) dial(client *clientConn) (*upConn, error) {
	u.mu.Lock()
	spec := u.spec
	u.mu.Unlock()
	conn, err := net.DialTimeout("tcp", u.address, spec.timeout)
	if err != nil {
		return nil, err
	}
	c := &upConn{wire: wire{Conn: conn, pool: client.pool}, fingerprint: spec.fingerprint}
	c.sock, _ = conn.(*net.TCPConn)
	if spec.sendProxy != "" {
		if err := client.introduceTo(conn, &spec); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	if spec.tls != nil {
		if c.Conn, err = handshake(conn, u.address, spec); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	if c.Conn == conn {
		c.useDescriptor()
	}
	return c, nil
}

func handshake(conn net.Conn, address string, spec dialSpec) (net.Conn, error) {
	cfg := spec.tls
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	if err := conn.SetDeadline(time.Now().Add(spec.timeout)); err != nil {
		return nil, err
	}
	tc := tls.Client(conn, cfg)
	if err := tc.Handshake(); err != nil {
		return nil, err
	}
	return tc, conn.SetDeadline(time.Time{})
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
