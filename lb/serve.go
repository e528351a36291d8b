package lb

import (
	"errors"
	"io"
	"runtime/debug"

	"switchpoint/lb/choice"
)

// serveRequests serves a client's connection to its end.
func (p *Proxy) serveRequests(l *listener, c *clientConn) {
	defer c.end()
	for c.await(p) && p.serveOne(l, c) {
		c.enter(phaseIdle)
	}
}

// await waits for the first byte of a request, holding no buffer meanwhile.
func (c *clientConn) await(p *Proxy) bool {
	if len(c.data()) > 0 {
		return true
	}
	c.lend()
	wait := p.limits.idle
	if c.fresh() {
		wait = p.limits.read
	}
	if !c.until(p.now() + int64(wait)) {
		return false
	}
	err := c.fill(smallBuffer, smallBuffer, 0)
	if err != nil && c.fresh() && c.spoken() == overdue {
		c.apologise(p)
	}
	return err == nil
}

// apologise tells a client that never sent anything why it is cut off.
func (c *clientConn) apologise(p *Proxy) {
	if _, err := c.revive(); err == nil && c.until(p.now()+int64(stallTimeout)) {
		_, _ = c.Write(appendRefusal(nil, 408, "the request did not arrive in time", true)) // it may be gone
	}
}

// serveOne serves one request. It says whether the connection goes on.
func (p *Proxy) serveOne(l *listener, c *clientConn) (goesOn bool) {
	c.enter(phaseActive)
	ex := p.exchange(c)
	defer func() {
		if r := recover(); r != nil {
			// The value may quote the request, so only its type of fault and place are told.
			p.log.Error("lb: panic while handling a request, please report it", "stack", string(debug.Stack()))
			ex.abandon()
			goesOn = false
		}
	}()
	size, err := c.readHead(p, &ex.head)
	live := p.live.Load()
	switch {
	case live == nil:
		ex.refuse(503, "starting", true)
		return false
	case err != nil:
		ex.listener = live.listeners[l.n]
		ex.unread(err)
		return false
	}
	c.requests++
	ex.listener = live.listeners[l.n]
	ex.pool = ex.listener.own()
	ex.serve(size)
	goesOn = !ex.closing
	ex.finish()
	return goesOn
}

// exchange takes an exchange from the pool.
func (p *Proxy) exchange(client *clientConn) *exchange {
	ex, _ := p.exchanges.Get().(*exchange)
	if ex == nil {
		ex = &exchange{}
	}
	out, piece, logPath, id, line := ex.out[:0], ex.piece[:0], ex.logPath[:0], ex.id[:0], ex.line
	up, down := ex.body.chunks.trailer[:0], ex.chunks.trailer[:0]
	q := choice.Question{States: ex.q.States, Loads: ex.q.Loads, Scratch: ex.q.Scratch}
	*ex = exchange{} // by itself, so that it is cleared where it is
	ex.p, ex.client, ex.member, ex.q = p, client, -1, q
	ex.out, ex.piece, ex.logPath, ex.id, ex.line = out, piece, logPath, id, line
	ex.body.chunks.trailer, ex.chunks.trailer = up, down
	ex.start = p.now()
	ex.seen = ex.start
	return ex
}

// unread answers what could not be read as a request, where somebody may want to know.
func (ex *exchange) unread(err error) {
	var bad *refusal
	c := ex.client
	status, text := 0, ""
	switch {
	case errors.As(err, &bad):
		status, text = bad.status, bad.text
		c.linger = true
	case c.spoken() == overdue:
		if _, err := c.revive(); err == nil {
			status, text = 408, "the request did not arrive in time"
		}
	case errors.Is(err, io.EOF) && len(c.data()) > 0:
		status, text = 400, "the request breaks off"
	}
	if status == 0 {
		ex.p.exchanges.Put(ex)
		return
	}
	ex.refuse(status, text, true)
	ex.listener.own().count(-1, status)
	ex.p.logRefusal(ex.listener, c, status, text)
	ex.p.exchanges.Put(ex)
}
