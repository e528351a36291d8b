package lb

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"switchpoint/healthcheck/isalive"
)

// exchange is one request on its way: through the check, the choice, the attempts, the answer.
// Exchanges are pooled; one ends in finish, when the last byte of the answer was handed over.
type exchange struct {
	p        *Proxy
	listener *liveListener
	pool     *target
	client   *clientConn

	start    time.Time
	in       headIn
	head     head
	harmless bool // may be repeated after it was sent
	out      []byte
	name     []byte

	q       Question
	member  int // index in pool, -1 before the choice
	reason  Reason
	retries int

	up      *upstream // the member that this request is counted in at, nil when at none
	conn    *upConn
	upClose bool
	whole   bool // the answer was read to its end
	// brokeOff: the member ended a streamed answer before its end.
	brokeOff bool
	answer   answerHead
	// ownFault: the last attempt failed for want of something that this process lacks.
	ownFault bool
	ttfb     time.Duration
	status   int
	stream   *bodyStream
	logPath  []byte // set only where debug lines are wanted
	id       []byte // of the request
	line     []byte // space for its line in the access log
	refused  string // why, where the balancer answered itself
	sent     int64  // bytes of a streamed body that the client got
}

// handle serves one request of listener n.
func (p *Proxy) handle(n int, ctx *fasthttp.RequestCtx) {
	var ex *exchange
	defer func() {
		if r := recover(); r != nil {
			if ex != nil {
				ex.drop()
				ex.leave()
			}
			// The value may quote the request, so only its type of fault and place are told.
			p.log.Error("lb: panic while handling a request, please report it", "stack", string(debug.Stack()))
			refuse(ctx, fasthttp.StatusInternalServerError, "internal error")
			ctx.SetConnectionClose()
		}
	}()
	live := p.live.Load()
	client, ok := ctx.Conn().(*clientConn)
	if live == nil || !ok {
		refuse(ctx, fasthttp.StatusServiceUnavailable, "starting")
		ctx.SetConnectionClose()
		return
	}
	ex = p.exchange(live.listeners[n], client)
	ex.serve(ctx)
	ex.stampAnswer(&ctx.Response.Header)
	if p.draining.Load() || ex.head.closeClient {
		ctx.SetConnectionClose()
	}
	if ex.stream == nil {
		if !ctx.IsHead() {
			ex.sent = int64(len(ctx.Response.Body()))
		}
		ex.finish()
	}
}

// exchange takes an exchange from the pool.
func (p *Proxy) exchange(l *liveListener, client *clientConn) *exchange {
	ex, _ := p.exchanges.Get().(*exchange)
	if ex == nil {
		ex = &exchange{}
	}
	client.requests++
	*ex = exchange{p: p, listener: l, pool: l.own(), client: client, start: time.Now(), member: -1,
		out: ex.out, name: ex.name, logPath: ex.logPath[:0], id: ex.id[:0], line: ex.line,
		q: Question{States: ex.q.States, Loads: ex.q.Loads, Scratch: ex.q.Scratch}}
	return ex
}

func (ex *exchange) serve(ctx *fasthttp.RequestCtx) {
	r := &ctx.Request
	peer := ex.client.peer
	ex.in = headIn{
		method: r.Header.Method(), target: r.Header.RequestURI(), raw: r.Header.RawHeaders(),
		http11: string(r.Header.Protocol()) == "HTTP/1.1", bodyLen: len(r.Body()),
		peer: peer, trusted: contains(ex.listener.trusted, peer), secure: ex.listener.secure(), forwardedField: ex.listener.forwarded,
	}
	if bad := ex.check(r); bad != nil {
		ex.client.linger = true
		ex.refuse(ctx, bad.status, bad.text)
		ctx.SetConnectionClose()
		return
	}
	if ex.p.log.Enabled(context.Background(), slog.LevelDebug) {
		path := logPath(ex.head.target)
		ex.logPath = append(ex.logPath, path[:min(len(path), 256)]...)
	}
	ex.takeID()
	route := ex.listener.routes.find(ex.head.host, pathOf(ex.head.target))
	ex.pool = ex.listener.target(route)
	if ctx.IsGet() || ctx.IsHead() {
		if isAlive(ex.head.target) {
			ex.isAlive(ctx)
			return
		}
	}
	if ex.redirect(ctx, route) {
		return
	}
	ex.harmless = isSafe(ex.in.method) || ex.head.idempotent
	ex.forward(ctx)
}

// check refuses what is malformed. The guard has passed these bytes already; here they are judged
// as the server's parser understood them, so that the two readings cannot part.
func (ex *exchange) check(r *fasthttp.Request) *refusal {
	if _, bad := checkVersion(r.Header.Protocol()); bad != nil {
		return bad
	}
	if len(ex.in.raw) == 0 {
		for name := range r.Header.All() {
			if !is(name, "content-length") && !is(name, "connection") { // the parser adds these
				return errBareLF
			}
		}
	}
	return ex.in.check(&ex.head)
}

func isAlive(target []byte) bool {
	return bytes.HasPrefix(target, []byte(isalive.Path)) && isalive.Match(string(target))
}

// forward chooses members until one answers or none is left. It goes on to another one only
// when nothing was sent; what try does not repeat by itself may have been processed (LG4).
func (ex *exchange) forward(ctx *fasthttp.RequestCtx) {
	now := ex.p.at(ex.start)
	addr := ex.clientAddr()
	ex.pool.fill(&ex.q, ex.p.snapshot(), now)
	ex.q.Draw = ex.pool.draws.Add(1)
	ex.q.Persisted = -1
	if ex.pool.persist {
		if id, ok := ex.pool.stick.get(addr, time.Duration(now), ex.pool.persistFor); ok {
			ex.q.Persisted = ex.pool.indexOf(id)
		}
	}
	bound := ex.q.Persisted
	for {
		ex.member, ex.reason = Pick(&ex.q)
		if ex.member < 0 {
			ex.noMember(ctx)
			return
		}
		if ex.pool.persist && ex.member != bound {
			bound = ex.member
			ex.pool.stick.put(addr, ex.pool.ups[ex.member].id, time.Duration(now), ex.pool.persistFor)
		}
		switch o := ex.try(ctx); o {
		case answered:
			ex.status = ctx.Response.StatusCode()
			return
		case unreachable:
		default:
			ex.failed(ctx, o)
			return
		}
		ex.q.Loads[ex.member].Tried = true
		ex.retries++
		ex.pool.retries.Inc()
	}
}

// try makes an attempt at the chosen member. A stale kept-alive connection says nothing about
// the member, so the same one is asked again, once, on a fresh connection, where a second
// execution does no harm. A fresh one that breaks is the end: the member may have died of it.
func (ex *exchange) try(ctx *fasthttp.RequestCtx) outcome {
	u := ex.pool.ups[ex.member]
	u.begin(ex.p.now(), ex.pool.dial.timeout)
	ex.up = u
	ex.in.fallbackHost = u.address
	o := ex.attempt(ctx, u, false)
	if o == stale && ex.harmless {
		ex.clear(&ctx.Response)
		ex.retries++
		ex.pool.retries.Inc()
		o = ex.attempt(ctx, u, true)
	}
	ex.report(o)
	if o != answered {
		if o == malformed {
			u.punish(ex.p.now())
		}
		ex.leave()
		ex.pool.metrics[ex.member].failure(o)
		ex.clear(&ctx.Response)
	}
	return o
}

// noMember answers when nobody is left to ask.
func (ex *exchange) noMember(ctx *fasthttp.RequestCtx) {
	text := "no server of this pool could be reached"
	if ex.reason.How == NoneServing {
		text = "no server of this pool can take requests now"
	}
	ctx.Response.Header.Set("Retry-After", "5")
	ex.refuse(ctx, fasthttp.StatusServiceUnavailable, text)
}

// failed answers when the request may not be tried again.
func (ex *exchange) failed(ctx *fasthttp.RequestCtx, o outcome) {
	switch o {
	case timedOut:
		ex.refuse(ctx, fasthttp.StatusGatewayTimeout, "the server did not answer in time")
	case malformed:
		ex.refuse(ctx, fasthttp.StatusBadGateway, "the server gave an unusable answer")
	default:
		ex.refuse(ctx, fasthttp.StatusBadGateway, "the server broke the connection; whether it did the work is unknown")
	}
}

// finish ends the exchange: figures, log, and the exchange itself back to the pool.
func (ex *exchange) finish() {
	name := "none"
	if ex.member >= 0 {
		name = ex.pool.members[ex.member].name
	}
	if ex.up != nil {
		if ex.whole {
			ex.release(ex.up)
		} else {
			ex.drop()
		}
		if ex.brokeOff {
			ex.up.punish(ex.p.now())
			ex.pool.metrics[ex.member].failure(malformed)
		}
		ex.leave()
	}
	ex.pool.count(ex.member, ex.status)
	ex.debugLog(name)
	ex.accessLog()
	ex.p.exchanges.Put(ex)
}

// leave counts the request out of its member.
func (ex *exchange) leave() {
	if ex.up != nil {
		ex.up.end(ex.p.now())
		ex.up = nil
	}
}

func (ex *exchange) debugLog(member string) {
	if len(ex.logPath) == 0 {
		return
	}
	ex.p.log.LogAttrs(context.Background(), slog.LevelDebug, "lb: request",
		slog.String("listener", ex.listener.name), slog.String("client", ex.client.peer.String()),
		slog.String("path", string(ex.logPath)),
		slog.String("member", member), slog.Int("status", ex.status),
		slog.Duration("ttfb", ex.ttfb), slog.Duration("took", time.Since(ex.start)),
		slog.Int("retries", ex.retries), slog.String("picked", ex.reason.How.String()))
}

// refuse answers in place of a member.
func (ex *exchange) refuse(ctx *fasthttp.RequestCtx, status int, text string) {
	ex.status, ex.refused = status, text
	refuse(ctx, status, text)
}

func refuse(ctx *fasthttp.RequestCtx, status int, text string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(text + "\n")
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
