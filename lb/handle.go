package lb

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/healthcheck/isalive"
	"switchpoint/lb/choice"
)

// exchange is one request on its way: through the check, the choice, the attempts, the answer.
// Exchanges are pooled; one ends in finish, when the last byte of the answer was handed over.
type exchange struct {
	p        *Proxy
	listener *liveListener
	pool     *target
	client   *clientConn

	start    int64 // like all times here in nanoseconds since the proxy's start
	ready    int64 // when the last attempt could begin: after any wait for a place
	seen     int64 // when the clock was looked at last; nothing was waited for since
	in       headIn
	head     head
	harmless bool    // may be repeated after it was sent
	pinned   bool    // the member is the one of the client's own connection
	headBuf  *buffer // what head points into, once the client's wire reads on into another
	body     requestBody
	piece    []byte // of the body, framed, which goes out with the head
	upload   *upload
	out      []byte // what is written next

	q       choice.Question
	visitor visitor
	member  int // index in pool, -1 before the choice
	reason  choice.Reason
	instead []byte // the name of the pool that has nobody, where its backup pool serves, as JSON
	retries int

	up       *upstream // the member that this request is counted in at, nil when at none
	conn     *upConn
	upClose  bool // the connection to the member is not used again
	answer   answerHead
	src      *buffer // what is passed on lies here
	detached *buffer // src, once the member's connection was given back
	headLen  int     // of the answer's head, which is not skipped yet
	chunks   chunks  // of the answer
	whole    bool    // the answer was read to its end
	brokeOff bool    // the member ended an answer before its end
	begun    bool    // the client has got a part of the final answer
	asked100 bool    // the client has got 100 Continue
	ownFault bool    // the last attempt failed for want of something that this process lacks
	keptLost bool    // a kept-alive connection to the member was found broken
	movedOn  bool    // the request was taken from a member that died to another one
	closing  bool    // the client's connection ends with this exchange
	ttfb     time.Duration
	status   int

	logPath []byte // set only where debug lines are wanted
	id      []byte // of the request
	line    []byte // space for its line in the access log
	refused string // why, where the balancer answered itself
	sent    int64  // bytes of the answer's body that the client got
}

func (ex *exchange) serve(size int) {
	l, peer := ex.listener, ex.client.peer
	ex.in = headIn{peer: peer, trusted: contains(l.trusted, peer), secure: l.secure(), forwardedField: l.forwarded}
	ex.closing = !ex.head.persists() || ex.p.draining.Load()
	if ex.p.log.Enabled(context.Background(), slog.LevelDebug) {
		path := logPath(ex.head.target)
		ex.logPath = append(ex.logPath, path[:min(len(path), 256)]...)
	}
	ex.takeID()
	if err := ex.gather(size); err != nil {
		ex.lostClient(err)
		return
	}
	route := l.routes.find(ex.head.host, pathOf(ex.head.target))
	ex.pool = l.target(route)
	if m := string(ex.head.method); (m == "GET" || m == "HEAD") && isAlive(ex.head.target) {
		ex.isAlive()
		return
	}
	if ex.redirect(route) {
		return
	}
	ex.harmless = isSafe(ex.head.method) || ex.head.idempotent
	ex.forward()
}

func isAlive(target []byte) bool {
	return bytes.HasPrefix(target, []byte(isalive.Path)) && isalive.Match(string(target))
}

// forward chooses members until one answers or none is left. It goes on to another one only
// when nothing was sent; what try does not repeat by itself may have been processed (LG4).
func (ex *exchange) forward() {
	now := ex.start
	addr := ex.clientAddr()
	ex.visitor = visitor{addr: addr, fields: ex.head.fields}
	ex.ready = ex.start
	ex.ask(addr)
	for {
		if ex.choose(newcomer); ex.member < 0 && !ex.seek(addr) {
			return
		}
		ex.pool.bind(&ex.visitor, ex.member, time.Duration(now))
		switch o := ex.try(); o {
		case answered:
			ex.status = ex.answer.status
			ex.pool.accepted(&ex.visitor, ex.member, ex.status, time.Duration(now))
			ex.relay()
			return
		case unreachable:
			if !ex.mayRetry() {
				ex.failed(o)
				return
			}
		default:
			ex.failed(o)
			return
		}
		ex.q.Loads[ex.member].Tried = true
		ex.ready = ex.p.now()
	}
}

// ask reads all that a choice in ex.pool goes by.
func (ex *exchange) ask(addr netip.Addr) {
	ex.q.Class = ex.pool.classes.find(ex.head.method, pathOf(ex.head.target))
	ex.pool.ask(&ex.q, addr, ex.p.snapshot(), ex.ready)
	if ex.pool.cookies != nil {
		ex.visitor.clock = time.Now().Unix()
	}
	ex.visitor.fields = ex.head.fields
	ex.pool.recognise(&ex.visitor, &ex.q, time.Duration(ex.ready))
}

// choose picks a member and takes a place there; ex.member is -1 where there is none. A client
// with a connection of its own goes on over it. number is as for take.
func (ex *exchange) choose(number uint64) {
	ex.member = ex.pinnedMember()
	if ex.pinned = ex.member >= 0 && !ex.q.Loads[ex.member].Tried && ex.q.States[ex.member].State != healthcheck.Maintenance; ex.pinned {
		ex.q.Persisted, ex.reason = ex.member, choice.Reason{How: choice.Pinned}
		if !ex.pool.ups[ex.member].enter(ex.ready, ex.q.Class, ex.pool.dial.timeout) {
			ex.member, ex.reason.How = -1, choice.BoundFull
			return
		}
		ex.pool.ups[ex.member].chosen.by[choice.Pinned].Add(1)
	} else {
		ex.member, ex.reason = ex.pool.take(&ex.q, ex.ready, number)
	}
	if ex.member >= 0 {
		ex.up = ex.pool.ups[ex.member]
	}
}

// mayRetry takes a retry out of the pool's budget.
func (ex *exchange) mayRetry() bool {
	if !ex.pool.budget.take(ex.pool.draws.Load()) {
		ex.pool.refusedRetries.Inc()
		return false
	}
	ex.retries++
	ex.pool.retries.Inc()
	return true
}

// try makes an attempt at the chosen member. A stale kept-alive connection says nothing about
// the member, so the same one is asked again, once, on a fresh connection, where a second
// execution does no harm. A fresh one that breaks is the end: the member may have died of it. Only a
// request with a safe method then goes to another member, once. So does any that may be repeated
// where a kept-alive connection broke just before, since the member was dying already: a process
// that is killed loses its connections one after the other, the listening one last.
func (ex *exchange) try() outcome {
	u := ex.up
	ex.in.fallbackHost, ex.in.cookies = u.address, ex.listener.cookies
	ex.keptLost = false
	o := ex.attempt(u, false)
	if o == stale && ex.harmless && ex.replayable() && ex.mayRetry() {
		o = ex.attempt(u, true)
	}
	ex.report(o)
	if o != answered {
		ex.seen = ex.p.now()
		if o == malformed {
			u.Punish(ex.seen)
		}
		ex.leave()
		if o != abandoned {
			ex.pool.metrics[ex.member].failure(o)
		}
	}
	if o == broken && !ex.movedOn && ex.replayable() && (isSafe(ex.head.method) || ex.keptLost && ex.harmless) {
		ex.movedOn = true
		return unreachable
	}
	return o
}

// noMember answers when nobody is left to ask.
func (ex *exchange) noMember(end waited) {
	if ex.movedOn {
		ex.failed(broken)
		return
	}
	text := "no server of this pool could be reached"
	switch {
	case ex.reason.How == choice.NoneServing:
		text = "no server of this pool can take requests now"
	case ex.reason.How.Full():
		text = end.giveUp()
	}
	ex.refuseWith(503, text, "Retry-After: 5\r\n")
}

// failed answers when the request may not be tried again.
func (ex *exchange) failed(o outcome) {
	switch o {
	case abandoned:
		ex.closing = true // the client is gone, or was told
	case unreachable:
		ex.refuseWith(503, "too many requests of this pool failed to try this one again", "Retry-After: 5\r\n")
	case timedOut:
		ex.refuseWith(504, "the server did not answer in time", "")
	case malformed:
		ex.refuseWith(502, "the server gave an unusable answer", "")
	default:
		ex.refuseWith(502, "the server broke the connection; whether it did the work is unknown", "")
	}
}

// finish ends the exchange: figures, log, and the exchange itself back to the pool.
func (ex *exchange) finish() {
	ex.stopUpload()
	if ex.up != nil {
		ex.seen = ex.p.now()
		ex.leaveMember()
	}
	ex.pool.count(ex.member, ex.status)
	ex.debugLog()
	ex.accessLog()
	ex.reclaim()
	ex.p.exchanges.Put(ex)
}

// leaveMember ends what concerns the member: its connection is used again after a whole answer.
func (ex *exchange) leaveMember() {
	if ex.up == nil {
		return
	}
	if ex.whole {
		ex.release(ex.up)
	} else {
		ex.drop()
	}
	if ex.brokeOff {
		ex.up.Punish(ex.seen)
		ex.pool.metrics[ex.member].failure(malformed)
	}
	ex.leave()
}

// abandon gives back what the exchange holds after a fault of ours. The exchange itself is left
// to the collector.
func (ex *exchange) abandon() {
	ex.stopUpload()
	ex.drop()
	ex.leave()
	ex.reclaim()
	if !ex.begun {
		ex.refuse(500, "internal error", true)
	}
}

// reclaim gives back the buffers.
func (ex *exchange) reclaim() {
	if ex.headBuf != nil {
		ex.p.buffers.put(ex.headBuf)
		ex.headBuf = nil
	}
	if ex.detached != nil {
		ex.p.buffers.put(ex.detached)
		ex.src, ex.detached = nil, nil
	}
}

// leave counts the request out of its member.
func (ex *exchange) leave() {
	if ex.up != nil {
		ex.pool.left(ex.up, ex.seen, ex.q.Class)
		ex.up = nil
	}
}

func (ex *exchange) debugLog() {
	if len(ex.logPath) == 0 {
		return
	}
	name := "none"
	if ex.member >= 0 {
		name = ex.pool.members[ex.member].name
	}
	ex.p.log.LogAttrs(context.Background(), slog.LevelDebug, "lb: request",
		slog.String("listener", ex.listener.name), slog.String("client", ex.client.peer.String()),
		slog.String("path", string(ex.logPath)),
		slog.String("member", name), slog.Int("status", ex.status),
		slog.Duration("ttfb", ex.ttfb), slog.Duration("took", time.Duration(ex.p.now()-ex.start)),
		slog.Int("retries", ex.retries), slog.String("picked", ex.reason.How.String()))
}

// clientAddr is the address that persistence goes by: the peer, or behind a trusted proxy the
// last address of X-Forwarded-For that is not itself a trusted proxy.
func clientAddr(in *headIn, trusted []netip.Prefix, forwarded []byte) netip.Addr {
	addr := in.peer
	if !in.trusted {
		return addr
	}
	for len(forwarded) > 0 {
		cut := bytes.LastIndexByte(forwarded, ',')
		a, err := netip.ParseAddr(string(bytes.TrimSpace(forwarded[cut+1:])))
		if err != nil {
			return addr
		}
		addr = a.Unmap().WithZone("")
		if !contains(trusted, addr) {
			return addr
		}
		forwarded = forwarded[:max(cut, 0)]
	}
	return addr
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
