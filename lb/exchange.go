package lb

import (
	"errors"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// sendTimeout bounds writing a request to a member.
	sendTimeout = 10 * time.Second
	// headTimeout bounds the rest of an answer's head after its first byte.
	headTimeout = 10 * time.Second
	// stallTimeout bounds every wait inside a body, on both sides.
	stallTimeout = 30 * time.Second
	// earlyWait is how long an answer is waited for after a request could not be sent whole: a
	// member may refuse it early and close (RFC 9112 9.5).
	earlyWait = 100 * time.Millisecond
	// maxInterim bounds the 1xx answers before a final one.
	maxInterim = 8
	// oneWrite is the largest body that is sent in one write with its head.
	oneWrite = 16 << 10
)

// outcome is how one attempt at a member ended.
type outcome uint8

const (
	answered    outcome = iota // a head arrived; the answer is in ctx.Response
	unreachable                // no connection: nothing was sent
	stale                      // a kept-alive connection broke before any byte of the answer
	broken                     // a fresh connection did
	timedOut                   // no byte within response_timeout
	malformed                  // bytes came that are no answer, or the answer broke off
)

// String is the word in metrics and logs.
func (o outcome) String() string {
	return [...]string{"answered", "connect", "stale", "broken", "timeout", "answer"}[o]
}

// attempt sends the request to u and reads the head of the answer, and the body where that is
// short. After answered, ex.release or the body stream gives the connection back.
func (ex *exchange) attempt(ctx *fasthttp.RequestCtx, u *upstream, fresh bool) outcome {
	ex.ownFault = false
	c := ex.connection(u, fresh)
	if c == nil {
		var err error
		if c, err = u.dial(ex.client); err != nil {
			if ex.ownFault = isOwnFault(err); !ex.ownFault {
				u.unreachable(ex.p.now())
			}
			return unreachable
		}
	}
	ex.conn = c
	ex.client.upstream.Store(c)
	o := ex.roundTrip(ctx, u, c)
	if o != answered {
		ex.drop()
	}
	return o
}

// connection takes an idle connection after a look at it: a restarted member has closed them all,
// and one that has something to read has said what nobody asked for.
func (ex *exchange) connection(u *upstream, fresh bool) *upConn {
	if ex.pool.dial.sendProxy != "" {
		return ex.client.takeOwn(u, ex.pool.dial.fingerprint, fresh)
	}
	if fresh {
		return nil
	}
	c := u.take()
	if c != nil && !c.quiet() {
		_ = c.Close()
		u.dropIdle()
		return nil
	}
	return c
}

func (ex *exchange) roundTrip(ctx *fasthttp.RequestCtx, u *upstream, c *upConn) outcome {
	sent := time.Now()
	until := sent.Add(ex.pool.responseTimeout)
	if err := ex.send(ctx, c, sent); err != nil {
		until = time.Now().Add(earlyWait)
		ex.upClose = true
	}
	if err := c.SetReadDeadline(until); err != nil {
		return ex.silent(u, c, err)
	}
	if _, err := c.br.Peek(1); err != nil {
		return ex.silent(u, c, err)
	}
	first := time.Now()
	ex.ttfb = first.Sub(sent)
	if err := c.SetReadDeadline(first.Add(headTimeout)); err != nil {
		return malformed
	}
	if err := ex.readHead(ctx, c); err != nil {
		return malformed
	}
	ex.status = ctx.Response.StatusCode()
	u.answered(ex.p.at(first), ex.ttfb, ex.status >= 500)
	ex.pool.metrics[ex.member].ttfb.Observe(ex.ttfb.Seconds())
	return ex.readBody(ctx, c)
}

func (ex *exchange) send(ctx *fasthttp.RequestCtx, c *upConn, now time.Time) error {
	if err := c.SetWriteDeadline(now.Add(sendTimeout)); err != nil {
		return err
	}
	body := ctx.Request.Body()
	ex.out = ex.head.appendRequest(ex.out[:0], &ex.in)
	if len(body) <= oneWrite {
		ex.out = append(ex.out, body...)
		_, err := c.Write(ex.out)
		return err
	}
	parts := net.Buffers{ex.out, body}
	_, err := parts.WriteTo(c.Conn)
	return err
}

// silent judges a connection that ended before the first byte of an answer.
func (ex *exchange) silent(u *upstream, c *upConn, err error) outcome {
	if c.reused && !isTimeout(err) {
		u.dropIdle() // its siblings are most likely as dead
		return stale
	}
	now := ex.p.now()
	u.punish(now)
	if isTimeout(err) && !ex.upClose {
		u.answered(now, ex.pool.responseTimeout, false) // it is at least this slow
		return timedOut
	}
	return broken
}

// drop closes the connection under way.
func (ex *exchange) drop() {
	if ex.conn != nil {
		ex.client.upstream.Store(nil)
		_ = ex.conn.Close()
		ex.conn = nil
	}
}

// release gives the connection back after a whole answer.
func (ex *exchange) release(u *upstream) {
	if ex.upClose {
		ex.drop()
		return
	}
	ex.client.upstream.Store(nil)
	if ex.pool.dial.sendProxy != "" {
		ex.client.keepOwn(u, ex.conn, time.Now())
	} else {
		u.give(ex.conn, time.Now())
	}
	ex.conn = nil
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
