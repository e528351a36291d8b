package lb

import (
	"errors"
	"io"
	"strconv"
	"time"
)

const (
	// gatherWait is how long the rest of a short body is waited for before the member gets what
	// is here: most clients write head and body one right behind the other.
	gatherWait = 20 * time.Millisecond
	// maxReplay bounds what is kept of a body so that it can be sent again.
	maxReplay = 64 << 10
	// minRate is what a client has to send on average, in bytes a second, once a body has taken
	// longer than the read time-out.
	minRate = 512
	// maxEarned keeps the seconds that a body has earned by its length within a Duration.
	maxEarned = 1 << 30
)

// requestBody is where a request's body stands: framed once by the client, decoded and judged
// here, framed anew for the member.
type requestBody struct {
	framing framing
	left    int64 // of a known length
	chunks  chunks
	begun   int64
	got     int64 // bytes of data so far
}

// begin makes b ready for the body of h.
func (b *requestBody) begin(h *head) {
	b.framing, b.left, b.got = h.framing, h.length, 0
	if h.framing == frameChunked {
		b.chunks.reset(true)
	}
}

// ended says whether the whole body was read.
func (b *requestBody) ended() bool {
	return b.framing == frameNone || b.framing == frameLength && b.left == 0 || b.framing == frameChunked && b.chunks.ended()
}

// decode takes what belongs to the body from the front of p and moves its data there: n bytes of
// data came in used bytes.
func (b *requestBody) decode(p []byte) (n, used int, bad *refusal) {
	if b.framing == frameLength {
		n = int(min(b.left, int64(len(p))))
		b.left -= int64(n)
		b.got += int64(n)
		return n, n, nil
	}
	n, used, bad = b.chunks.decode(p)
	b.got += int64(n)
	return n, used, bad
}

// decode moves the data of a chunked body that p continues to the front of p.
func (c *chunks) decode(p []byte) (n, used int, bad *refusal) {
	for used < len(p) && !c.ended() {
		data, k, bad := c.next(p[used:])
		used += k
		if bad != nil {
			return n, used, bad
		}
		if n+len(data) == used {
			n = used // it is where it belongs
		} else {
			n += copy(p[n:], data)
		}
	}
	return n, used, nil
}

// frame writes data as the member gets it, and the end of the body where that was reached.
func (b *requestBody) frame(dst, data []byte) []byte {
	if b.framing == frameLength {
		return append(dst, data...)
	}
	if len(data) > 0 {
		dst = strconv.AppendInt(dst, int64(len(data)), 16)
		dst = append(append(append(dst, "\r\n"...), data...), "\r\n"...)
	}
	if b.chunks.ended() {
		dst = append(append(append(dst, "0\r\n"...), b.chunks.trailer...), "\r\n"...)
	}
	return dst
}

// most is how much may be read at once without touching the next request; 0: any amount, because
// the end of a chunked body can be told only by reading it.
func (b *requestBody) most() int64 { return b.left }

// limit is until when the next bytes of the body have to come: within the read time-out, and with
// the average that minRate asks for. held is the time that the member did not take any.
func (b *requestBody) limit(now int64, wait, held time.Duration) time.Duration {
	earned := time.Duration(min(b.got/minRate, maxEarned)) * time.Second
	allowed := wait + earned + held
	return min(wait, max(0, allowed-time.Duration(now-b.begun)))
}

// gather takes what is here of the body, and waits a moment for the rest of a short one: what is
// sent on with the head costs no second write, and can be judged before the member hears of it.
// size is the length of the head, which stays where it is, or moves with all that points to it.
func (ex *exchange) gather(size int) error {
	c, b := ex.client, &ex.body
	b.begin(&ex.head)
	if b.framing == frameNone {
		c.skip(size)
		return nil
	}
	b.begun = ex.start
	var until time.Time
	for end := c.r + size; ; {
		p := c.buf.b[end:c.w]
		n, used, bad := b.decode(p)
		if bad != nil {
			return bad
		}
		ex.piece = b.frame(ex.piece, p[:n])
		end += used
		if b.ended() {
			c.skip(end - c.r)
			return nil
		}
		if b.left > int64(headBuffer.size()-size) && !ex.head.expect {
			return nil
		}
		if until.IsZero() {
			until = time.Now().Add(gatherWait)
			if c.buf.class < headBuffer && (b.framing == frameChunked || b.left > int64(len(c.buf.b)-roomAfter-c.w)) {
				if end -= c.r; !ex.moveHead(size) {
					return errFull
				}
				end += c.r
			}
		}
		room := c.buf.b[c.w : len(c.buf.b)-roomAfter]
		if len(room) == 0 || !time.Now().Before(until) || ex.head.expect && len(c.data()) > size && b.left > int64(len(room)) {
			// Whoever has begun to send does not wait for 100 Continue any more, so that it need not
			// be asked for (RFC 9110 10.1.1).
			ex.head.waiting = ex.head.expect && len(c.data()) == size
			return nil
		}
		k, err := ex.glance(room, until)
		if c.w += k; err != nil {
			return err
		}
	}
}

// moveHead makes room for a body behind the head.
func (ex *exchange) moveHead(size int) bool {
	ex.client.grow(headBuffer)
	ex.head = head{}
	return checkRequestHead(ex.client.data()[:size], &ex.head) == nil
}

// glance reads what comes until then, at most what belongs to this body.
func (ex *exchange) glance(room []byte, until time.Time) (n int, err error) {
	c := ex.client
	if err := c.raw.SetReadDeadline(until); err != nil {
		return 0, err
	}
	n, err = c.Conn.Read(upTo(room, ex.body.most()))
	if n > 0 || isTimeout(err) {
		err = nil
	}
	return n, errors.Join(err, c.raw.SetReadDeadline(time.Time{}))
}

// isEnd says whether an error is the end of what the other side sends.
func isEnd(err error) bool { return errors.Is(err, io.EOF) }
