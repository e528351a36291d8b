package lb

import (
	"crypto/tls"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/lb/choice"
)

// tcpSession is one connection of a client to a listener in tcp mode, and the one to its member.
type tcpSession struct {
	p        *Proxy
	listener *liveListener
	target   *target
	client   *clientConn
	began    time.Time
	idle     time.Duration

	index   int // of the member in target, -1 before the choice
	reason  choice.Reason
	instead []byte // as that of an exchange
	retries int
	connect time.Duration // it took to connect to the member
	name    string        // that the client asked for (SNI)
	series  *tcpSeries

	in, out direction    // from the client, to the client
	last    atomic.Int64 // when something moved last

	mu     sync.Mutex
	member net.Conn
	up     *upstream
	over   ending
	broken bool // both connections are closed or to be closed at once
}

// serveTCP carries one client's connection to a member and stays until it ends.
func (p *Proxy) serveTCP(l *listener, c *clientConn) {
	live := p.live.Load()
	if live == nil {
		_ = c.raw.Close() // no table yet: nobody to connect to
		return
	}
	s := &tcpSession{p: p, listener: live.listeners[l.n], client: c, began: time.Now(), index: -1}
	s.target, s.idle = s.listener.own(), s.listener.idle
	c.tcp.Store(s)
	c.enter(phaseActive) // neither fresh nor idle: a drain lets it go on
	defer s.finish()
	defer func() {
		if r := recover(); r != nil {
			s.cut(noMember)
			// The value may quote what the client sent, so only its place is told.
			p.log.Error("lb: panic while handling a connection, please report it", "stack", string(debug.Stack()))
		}
	}()
	first, ok := s.route()
	if !ok {
		s.note(unused)
		return
	}
	if !s.choose() {
		s.cut(noMember)
		return
	}
	if len(first) > 0 && !s.begin(first) {
		s.cut(memberBroke)
		return
	}
	s.relay()
}

// route finds the pool. Where clients are routed by the name they ask for, and TLS is not ended
// here, that takes a look at their first message, which is given back for the member. Not ok is a
// client that left before it said anything.
func (s *tcpSession) route() (first []byte, ok bool) {
	c := s.client
	if early, is := c.Conn.(*begunConn); is { // unwrapped, since only bare TCP can be spliced
		first, c.Conn = early.rest, early.Conn
	}
	if s.listener.routes.empty() {
		return first, true
	}
	if tc, is := c.Conn.(*tls.Conn); is {
		s.name = printable([]byte(tc.ConnectionState().ServerName))
	} else {
		var err error
		if s.name, first, err = readHello(c.Conn, first); err != nil {
			return nil, false
		}
	}
	if s.name != "" {
		s.target = s.listener.target(s.listener.routes.find([]byte(s.name), nil))
	}
	return first, true
}

// choose connects to members until one accepts. Nothing was sent to those that did not.
func (s *tcpSession) choose() bool {
	one := tcpSeeker{tcpSession: s, visitor: visitor{addr: s.client.peer}}
	q := &one.q
	one.ask()
	for {
		if one.pick(newcomer); one.picked < 0 && !one.seek() {
			return false
		}
		i, pool := one.picked, s.target.livePool
		pool.bind(&one.visitor, i, time.Duration(s.p.now()))
		if s.try(i) {
			return true
		}
		if s.ending() != open { // cut off meanwhile
			return false
		}
		q.Loads[i].Tried = true
		s.retries++
		pool.retries.Inc()
	}
}

// ask reads all that Pick wants to know for a client at now, and counts a decision.
func (lp *livePool) ask(q *choice.Question, client netip.Addr, snap *healthcheck.Snapshot, now int64) {
	lp.fill(q, snap, now)
	q.Draw = lp.draws.Add(1)
	if lp.method == choice.NetScalerName {
		lp.startup.Observe(q, now)
	}
	lp.fillMethod(q, client)
	q.Persisted = -1
}

// try connects to a member at which the connection has a place. What an average is for HTTP is here the time that this takes.
func (s *tcpSession) try(i int) bool {
	pool, u := s.target.livePool, s.target.ups[i]
	from := time.Now()
	conn, err := u.connect(s.client)
	took := time.Since(from)
	if err != nil {
		own := isOwnFault(err)
		if !own {
			u.Unreachable(s.p.now())
		}
		pool.left(u, s.p.now(), 0)
		pool.metrics[i].failure(unreachable)
		s.tell(i, healthcheck.Outcome{Traffic: healthcheck.Refused}, own)
		return false
	}
	u.Answered(s.p.now(), took, 0, 0)
	s.tell(i, healthcheck.Outcome{Traffic: healthcheck.Answered, Latency: took}, false)
	s.index, s.connect = i, took
	s.series = &s.target.tcp[i]
	s.series.open.Inc()
	s.mu.Lock()
	s.up, s.member = u, conn
	late := s.broken
	s.mu.Unlock()
	if late {
		reset(conn)
	}
	s.in = direction{s: s, from: s.client.Conn, to: conn, over: clientEnd, fromBroke: clientBroke, toBroke: memberBroke, series: s.series.in}
	s.out = direction{s: s, from: conn, to: s.client.Conn, over: memberEnd, fromBroke: memberBroke, toBroke: clientBroke, series: s.series.out}
	return true
}

// tell reports an attempt to the health engine, by the rules of exchange.report.
func (s *tcpSession) tell(i int, o healthcheck.Outcome, own bool) {
	refs := s.target.members[i].check.Refs
	if s.p.tell == nil || len(refs) == 0 || o.Traffic != healthcheck.Answered && (own || s.p.draining.Load()) {
		return
	}
	s.p.tell(refs[0], o)
}

// connect opens a connection for one client.
func (u *upstream) connect(c *clientConn) (net.Conn, error) {
	spec := u.dialSpec()
	if spec.tls != nil {
		spec.tls = spec.tls.Clone()
		spec.tls.NextProtos = nil // what is spoken inside is not ours to say
	}
	_, conn, err := spec.open(u.address, c)
	return conn, err
}

// begin hands the member what was read of the client already.
func (s *tcpSession) begin(first []byte) bool {
	s.last.Store(s.p.now())
	return s.in.send(first) == nil
}
