package lb

import (
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	// continueWait is how long the member may take to say that it wants a body that the client
	// holds back (RFC 9110 10.1.1). Then the balancer says so itself.
	continueWait = time.Second
	// lastPieceWait is how long an answer waits for the end of an upload of which nothing is left
	// to be read: the member was quicker than our own goroutine, it did not answer early.
	lastPieceWait = 50 * time.Millisecond
)

// errUpload is a fault of the balancer itself while it sent a body on.
var errUpload = errors.New("lb: sending the body on failed")

// upload sends on what is not here yet of a request's body, as it arrives, while the exchange's
// own goroutine waits for the answer.
//
//	startUpload -> run -> done (fault: nil, the client's, the member's)
//	        stopUpload: both sides are woken, and the goroutine is waited for
type upload struct {
	ex   *exchange
	conn *upConn
	out  []byte
	done chan struct{}
	last atomic.Bool // all was read from the client
	// failed is set before the fault below hurries whoever waits for the answer.
	failed atomic.Bool

	// Valid after done, and where failed is set.
	err     error
	clients bool // err is about the client
}

// startUpload sends what is here and starts sending the rest.
func (ex *exchange) startUpload(c *upConn) error {
	client := ex.client
	client.until(ex.p.now() + int64(sendTimeout))
	if _, err := c.Write(ex.out); err != nil {
		_ = c.sock.SetReadDeadline(time.Now().Add(earlyWait)) // it may have said why
		ex.upClose = true
		return nil
	}
	if ex.headBuf == nil && !ex.body.ended() {
		client.skip(len(client.data())) // the head, and what was sent on of the body
		ex.headBuf = client.detach()
	}
	if ex.head.waiting {
		if err := c.sock.SetReadDeadline(time.Now().Add(continueWait)); err != nil {
			return err
		}
	}
	if ex.body.ended() {
		client.until(ex.p.now() + int64(ex.pool.responseTimeout))
		return nil
	}
	ex.upload = &upload{ex: ex, conn: c, done: make(chan struct{})}
	client.enter(phaseSending)
	client.shared = true
	go ex.upload.run()
	return nil
}

func (up *upload) run() {
	defer close(up.done)
	defer func() {
		if r := recover(); r != nil { // a fault of ours must not cost the other clients their process
			up.ex.p.log.Error("lb: panic while sending a body on, please report it", "stack", string(debug.Stack()))
			up.err, up.clients = errUpload, false
			up.conn.abort()
		}
	}()
	if up.err, up.clients = up.copy(); up.err == nil {
		up.ex.client.state.CompareAndSwap(int32(phaseSending), int32(phaseAsking))
		up.ex.client.until(up.ex.p.now() + int64(up.ex.pool.responseTimeout))
		return
	}
	up.failed.Store(true)
	up.hurry()
}

// hurry bounds the wait for an answer to a request that is not sent to its end.
func (up *upload) hurry() {
	until := time.Now().Add(earlyWait)
	if up.clients {
		until = time.Unix(1, 0) // whoever waits need not
	}
	_ = up.conn.sock.SetReadDeadline(until) // of a closed one: nobody waits there
}

// atEase takes back what continueWait bounds: the member has said something, or was waited for
// that long. It leaves a wait that a fault hurries.
func (ex *exchange) atEase(c *upConn) bool {
	err := c.sock.SetReadDeadline(time.Time{})
	if up := ex.upload; up != nil && up.failed.Load() {
		up.hurry()
		return false
	}
	return err == nil
}

// clientsFault says whether the client broke off what it sends.
func (ex *exchange) clientsFault() bool {
	return ex.upload != nil && ex.upload.failed.Load() && ex.upload.clients
}

// copy sends the body on. Its error is the client's or the member's.
func (up *upload) copy() (err error, clients bool) { //nolint:revive // the flag explains the error
	ex, client, b := up.ex, up.ex.client, &up.ex.body
	wait, held := ex.p.limits.read, time.Duration(0)
	class := headBuffer
	for !b.ended() {
		if len(client.data()) == 0 {
			now := ex.p.now()
			if !client.until(now + int64(b.limit(now, wait, held))) {
				return errTimedOut, true
			}
			if err := client.fill(class, class, b.most()); err != nil {
				return err, true
			}
		}
		p := client.data()
		if len(p) >= headBuffer.size() {
			class = bulkBuffer
		}
		n, used, bad := b.decode(p)
		if bad != nil {
			return bad, true
		}
		if b.ended() {
			up.last.Store(true)
		}
		began := ex.p.now()
		client.until(began + int64(sendTimeout))
		if err := up.send(p[:n]); err != nil {
			return err, false
		}
		held += time.Duration(ex.p.now() - began)
		client.skip(used)
		client.lend()
	}
	return nil, false
}

// send frames a piece and sends it. A piece of known length goes out from where it lies.
func (up *upload) send(data []byte) error {
	b := &up.ex.body
	if b.framing != frameLength {
		up.out = b.frame(up.out[:0], data)
		data = up.out
	}
	if up.ex.head.idempotent && b.got <= maxReplay {
		up.ex.piece = append(up.ex.piece, data...) // for a second attempt
	}
	_, err := up.conn.Write(data)
	return err
}

// fault gives what ended the upload, nil while it goes on or where it came to its end.
func (up *upload) fault() error {
	if up.failed.Load() { // who waits is woken before the goroutine has ended
		<-up.done
	}
	select {
	case <-up.done:
		return up.err
	default:
		return nil
	}
}

// sentAll says whether the body was sent to its end, where only the goroutine's last steps may be
// missing.
func (up *upload) sentAll() bool {
	if up.last.Load() {
		select {
		case <-up.done:
		case <-time.After(lastPieceWait):
		}
	}
	select {
	case <-up.done:
		return up.err == nil
	default:
		return false
	}
}

// stopUpload ends the sending. Where it had not come to its end, the client's connection ends
// with this exchange, after it could read the answer, and the member's too.
func (ex *exchange) stopUpload() {
	up := ex.upload
	if up == nil {
		return
	}
	ex.upload = nil
	if !up.sentAll() {
		client := ex.client
		client.wake()
		up.conn.wake()
		<-up.done
		ex.closing, client.linger, ex.upClose = true, true, true
		if client.spoken() == 0 {
			_ = client.calm() // the next write tells
		}
	}
	ex.client.shared = false
	if ex.client.w > ex.client.r {
		return
	}
	ex.client.lend()
}

// mayContinue says whether a client that waits for it is to be told to go on, because the member
// has not said anything in time. That is done once.
func (ex *exchange) mayContinue(c *upConn) bool {
	if !ex.head.waiting || ex.asked100 {
		return false
	}
	ex.asked100 = true
	return ex.atEase(c)
}
