package lb

import (
	"bytes"
	"errors"
	"net"
	"time"
)

const (
	// sendTimeout bounds every wait in sending a request to a member.
	sendTimeout = 10 * time.Second
	// headTimeout bounds the rest of an answer's head after its first byte.
	headTimeout = 10 * time.Second
	// stallTimeout bounds every wait inside a body, on both sides.
	stallTimeout = 30 * time.Second
	// earlyWait is how long an answer is waited for after a request could not be sent whole: a
	// member may refuse it early and close (RFC 9112 9.5).
	earlyWait = 100 * time.Millisecond
	// maxInterim bounds the 1xx answers before a final one.
	maxInterim = 32
)

// outcome is how one attempt at a member ended.
type outcome uint8

const (
	answered    outcome = iota // a head arrived
	unreachable                // no connection: nothing was sent
	stale                      // a kept-alive connection broke before any byte of the answer
	broken                     // a fresh connection did
	timedOut                   // no byte within response_timeout
	malformed                  // bytes came that are no answer, or the answer broke off
	abandoned                  // the client is gone, or did not send its request to the end
)

// String is the word in metrics and logs.
func (o outcome) String() string {
	return [...]string{"answered", "connect", "stale", "broken", "timeout", "answer", "abandoned"}[o]
}

// attempt sends the request to u and reads the head of the answer, and the body where that is
// short. After answered, relay passes it on and finish gives the connection back.
func (ex *exchange) attempt(u *upstream, fresh bool) outcome {
	ex.ownFault = false
	sent := ex.ready
	for {
		c := ex.connection(u, fresh)
		if c == nil {
			var err error
			if c, err = u.dial(ex.client); err != nil {
				if ex.ownFault = isOwnFault(err); !ex.ownFault {
					u.Unreachable(ex.p.now())
				}
				return unreachable
			}
			sent = ex.p.now()
		}
		ex.conn = c
		ex.client.upstream.Store(c)
		o, unsent := ex.roundTrip(u, c, sent)
		if o != answered {
			ex.stopUpload()
			ex.drop()
		}
		if !unsent || !c.reused {
			return o
		}
		// A restarted member has closed them all, and one that has something to read has said
		// what nobody asked for. Nothing was sent, so this was no attempt.
		u.dropIdle()
		fresh = true
	}
}

// connection takes an idle connection, the client's own one first. ask looks at it before it
// sends anything.
func (ex *exchange) connection(u *upstream, fresh bool) *upConn {
	if ex.pinned || ex.pool.dial.sendProxy != "" {
		return ex.client.takeOwn(u, ex.pool.dial.fingerprint, fresh, ex.ready)
	}
	if fresh {
		return nil
	}
	return u.take()
}

// roundTrip sends the request and waits for the head of the answer. unsent: no byte went out.
func (ex *exchange) roundTrip(u *upstream, c *upConn, sent int64) (o outcome, unsent bool) {
	ex.out = ex.head.appendRequest(ex.out[:0], &ex.in)
	ex.out = append(ex.out, ex.piece...)
	ex.upClose, ex.answer, ex.whole = false, answerHead{}, false
	client := ex.client
	if !client.until(sent + int64(ex.pool.responseTimeout)) {
		return ex.interrupted(u), false
	}
	client.enter(phaseAsking)
	var err error
	if ex.body.ended() {
		var n int
		if n, err = c.ask(ex.out, !c.reused); err != nil && n == 0 {
			client.enter(phaseActive)
			return ex.silent(u, c, err), errors.Is(err, errLoud) || !isTimeout(err)
		}
	} else {
		if c.reused && !c.quiet() {
			return ex.silent(u, c, errLoud), true
		}
		err = ex.startUpload(c)
	}
	for err != nil || len(c.data()) == 0 {
		if err != nil {
			if goOn, o := ex.waitFault(u, c, err); !goOn {
				return o, false
			}
		}
		err = c.fill(headBuffer, headBuffer, 0)
	}
	if ex.head.waiting && ex.upload != nil {
		ex.atEase(c)
	}
	first := ex.p.now()
	ex.seen, ex.ttfb = first, time.Duration(first-sent)
	if err := ex.readHead(c); err != nil {
		return ex.headFault(err), false
	}
	client.enter(phaseActive)
	if until := first + int64(stallTimeout); !client.until(until) && !(ex.calmed(c) && client.until(until)) {
		return ex.interrupted(u), false
	}
	ex.status = ex.answer.status
	u.Answered(first, ex.ttfb, ex.q.Class, ex.status)
	ex.pool.metrics[ex.member].ttfb.Observe(ex.ttfb.Seconds())
	return ex.readShort(c), false
}

// judgeHead judges one head of an answer; n counts the interim ones, which are passed on.
func (ex *exchange) judgeHead(c *upConn, raw []byte, n *int) (final bool, err error) {
	ex.answer = answerHead{}
	if bad := checkAnswerHead(raw, &ex.answer); bad != nil {
		return false, bad
	}
	if ex.answer.status >= 200 || ex.answer.status == 101 && ex.head.webSocket() && ex.answer.upgrade {
		return true, nil
	}
	*n++
	switch {
	case ex.answer.status == 101:
		return false, errInterim101
	case *n > maxInterim:
		return false, errManyAnswer
	}
	return false, ex.passInterim(c)
}

// readHead reads the final head of an answer, and passes interim ones on (RFC 9110 15.2).
func (ex *exchange) readHead(c *upConn) error {
	for n, looked, timed := 0, 0, false; ; {
		b := c.data()
		if i := bytes.Index(b[max(0, looked-3):], []byte("\r\n\r\n")); i >= 0 {
			ex.headLen = max(0, looked-3) + i + 4
			final, err := ex.judgeHead(c, b[:ex.headLen], &n)
			if final || err != nil {
				return err
			}
			c.skip(ex.headLen)
			looked, timed = 0, false
			if len(c.data()) > 0 {
				continue
			}
			ex.client.until(ex.p.now() + int64(ex.pool.responseTimeout))
		} else if looked = len(b); looked > 0 && !timed {
			timed = true
			ex.client.until(ex.p.now() + int64(headTimeout))
		}
		if err := c.fill(headBuffer, headBuffer, 0); err != nil {
			if goOn := ex.nudgedHere(c); goOn {
				continue
			}
			return err
		}
	}
}

// errClient wraps what is the client's fault, not the member's.
var errClient = errors.New("lb: the client is gone")

// passInterim gives an interim answer to the client. HTTP/1.0 has none.
func (ex *exchange) passInterim(c *upConn) error {
	if !ex.head.http11 || ex.answer.status == 100 && ex.asked100 {
		return nil
	}
	ex.asked100 = ex.asked100 || ex.answer.status == 100
	out := ex.appendAnswer(make([]byte, 0, 1024), c.data()[:ex.headLen], frameNone, false)
	if _, err := ex.client.Write(out); err != nil {
		return errClient
	}
	return nil
}

// headFault judges a fault after the first byte of an answer.
func (ex *exchange) headFault(err error) outcome {
	switch {
	case errors.Is(err, errClient), ex.client.spoken() == gone:
		return abandoned
	case ex.client.spoken() == overdue:
		if _, err := ex.client.revive(); err != nil {
			return abandoned
		}
	}
	return malformed
}

// waitFault judges what ended the wait for the first byte. It may just go on.
func (ex *exchange) waitFault(u *upstream, c *upConn, err error) (goOn bool, o outcome) {
	if ex.client.spoken() != 0 {
		if ex.nudgedHere(c) {
			return true, answered
		}
		return false, ex.interrupted(u)
	}
	if up := ex.upload; up != nil {
		switch fault := up.fault(); {
		case fault != nil && up.clients:
			ex.stopUpload()
			ex.lostClient(fault)
			return false, abandoned
		case fault == nil && isTimeout(err) && ex.mayContinue(c):
			if _, err := ex.client.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
				return false, abandoned
			}
			return true, answered
		}
	}
	return false, ex.silent(u, c, err)
}

// nudgedHere answers the watcher, which saw the client close its side. A client may do that and
// still wait for its answer (RFC 9112 9.6), one that is gone looks the same. An interim answer
// tells them apart: a closed socket answers it with a reset, which the watcher sees.
func (ex *exchange) nudgedHere(c *upConn) (goOn bool) {
	client := ex.client
	if !ex.calmed(c) {
		return false
	}
	if ex.head.http11 {
		if _, err := client.Write([]byte("HTTP/1.1 102 Processing\r\n\r\n")); err != nil {
			return false
		}
	}
	return client.until(ex.p.now() + int64(ex.pool.responseTimeout))
}

// calmed takes a nudge back.
func (ex *exchange) calmed(c *upConn) bool {
	if ex.client.spoken() != nudged {
		return false
	}
	_, err := ex.client.revive()
	return err == nil && c.calm() == nil
}

// interrupted judges a word of the watcher.
func (ex *exchange) interrupted(u *upstream) outcome {
	up := ex.upload
	if up != nil {
		<-up.done // it was woken, too
	}
	word, err := ex.client.revive()
	if up != nil && up.err != nil && up.clients && err == nil {
		ex.stopUpload()
		ex.lostClient(errTimedOut)
		return abandoned
	}
	if word == gone || err != nil {
		return abandoned
	}
	now := ex.p.now()
	u.TimedOut(now, ex.pool.responseTimeout, ex.q.Class)
	return timedOut
}

// silent judges a connection that ended before the first byte of an answer.
func (ex *exchange) silent(u *upstream, c *upConn, err error) outcome {
	if word := ex.client.spoken(); word != 0 {
		return ex.interrupted(u)
	}
	if c.reused && !isTimeout(err) {
		u.dropIdle() // its siblings are most likely as dead
		ex.keptLost = true
		return stale
	}
	u.Punish(ex.p.now())
	return broken
}

// replayable says whether all that was sent of the request can be sent again.
func (ex *exchange) replayable() bool {
	return ex.headBuf == nil || ex.head.idempotent && ex.body.got <= maxReplay
}

// drop closes the connection under way.
func (ex *exchange) drop() {
	if ex.conn != nil {
		ex.client.upstream.Store(nil)
		ex.conn.end()
		ex.conn = nil
	}
}

// release gives the connection back after a whole answer.
func (ex *exchange) release(u *upstream) {
	// The watcher looks here after its word (speak), and until fails after that: it wakes no
	// connection that somebody else has by then.
	ex.client.upstream.Store(nil)
	if ex.upClose || !ex.client.until(ex.seen+int64(stallTimeout)) {
		ex.drop()
		return
	}
	if ex.pins() {
		ex.client.keepOwn(u, ex.conn, ex.seen)
	} else {
		u.give(ex.conn, ex.seen)
	}
	ex.conn = nil
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
