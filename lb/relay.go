package lb

import "strconv"

// maxChunkHead is room for the size line of any chunk that fits a buffer.
const maxChunkHead = 10

// relay passes the answer on as it arrives, framed anew. What is sent lies in the buffer of the
// member's connection: the head for the client is written before the bytes of the body, in the
// place of the member's own, and the frame of a chunk around its data, so that nothing is copied
// and head and body go out in one write.
func (ex *exchange) relay() {
	ex.settleUpload()
	if ex.answer.status == 101 {
		ex.tunnel()
		return
	}
	ex.closing = ex.closing || ex.p.draining.Load()
	as := ex.framingToClient()
	ex.out = ex.appendAnswer(ex.out[:0], ex.conn.data()[:ex.headLen], as, ex.closing)
	ex.conn.skip(ex.headLen)
	switch {
	case ex.whole:
		ex.letGo(0)
		ex.pass(0, 0)
	case ex.answer.framing == frameLength:
		ex.relayLength()
	default:
		ex.relayPieces(as)
	}
}

// settleUpload looks whether the request was sent to its end. An answer that comes before that
// ends both connections. One that accepts may be an exchange in both directions, and the upload
// goes on while it lasts; one that refuses or sends elsewhere stops it (RFC 9112 9.5).
func (ex *exchange) settleUpload() {
	switch {
	case ex.upload != nil:
	case !ex.body.ended(): // the member broke before it got any of it
		ex.closing, ex.client.linger, ex.upClose = true, true, true
		return
	default:
		return
	}
	if ex.upload.sentAll() || ex.answer.status >= 300 {
		ex.stopUpload()
		return
	}
	ex.closing, ex.upClose = true, true
}

// framingToClient says how the client is told where the body ends.
func (ex *exchange) framingToClient() framing {
	a := &ex.answer
	if a.bodiless(ex.toHead()) {
		ex.whole = true
		if a.framing != frameLength {
			return frameNone
		}
		// A 204 has no body (RFC 9110 15.3.5). Should one that announces it bring it all the same,
		// it must not be read as the next answer.
		if a.status == 204 {
			ex.upClose = ex.upClose || a.length > 0
			return frameNone
		}
		return frameLength
	}
	ex.upClose = ex.upClose || a.framing == frameClose
	switch {
	case a.framing == frameLength:
		return frameLength
	case ex.head.http11:
		return frameChunked
	}
	ex.closing = true // HTTP/1.0 knows no chunks: the end of the connection is the end of the body
	return frameClose
}

// letGo gives the member's connection back before the last bytes go to the client: it may be slow
// to take them, or quick to ask again. used is how much of what was read they are.
func (ex *exchange) letGo(used int) {
	ex.stopUpload()
	c := ex.conn
	c.skip(used)
	ex.upClose = ex.upClose || len(c.data()) > 0
	ex.whole = true
	ex.src = c.detach()
	ex.detached = ex.src
	ex.leaveMember()
}

// pass sends what is written of the head, if it was not sent yet, and bytes from the member's
// buffer. After a failure the client is gone.
func (ex *exchange) pass(from, to int) bool {
	ex.begun = true
	body := []byte(nil)
	if to > from {
		body = ex.src.b[from:to]
	}
	switch n := len(ex.out); {
	case n > 0 && len(body) > 0 && n <= from:
		copy(ex.src.b[from-n:from], ex.out)
		body = ex.src.b[from-n : to]
	case n > 0:
		if _, err := ex.client.Write(ex.out); err != nil {
			ex.lostReader()
			return false
		}
	}
	ex.out = ex.out[:0]
	if len(body) == 0 {
		return true
	}
	if _, err := ex.client.Write(body); err != nil {
		ex.lostReader()
		return false
	}
	return true
}

// lostReader ends an answer whose client does not take it.
func (ex *exchange) lostReader() { ex.closing, ex.whole = true, false }

// more waits for more of the answer. Both sides' limits move on with every piece: a body may take
// as long as it likes while it moves.
func (ex *exchange) more() error {
	if !ex.client.until(ex.p.now() + int64(stallTimeout)) {
		return errTimedOut
	}
	err := ex.conn.fill(bulkBuffer, bulkBuffer, 0)
	ex.seen = ex.p.now()
	if err != nil {
		return err
	}
	if !ex.client.until(ex.seen + int64(stallTimeout)) {
		return errTimedOut
	}
	return nil
}

func (ex *exchange) relayLength() {
	c := ex.conn
	for left := ex.answer.length; ; {
		n := int(min(left, int64(len(c.data()))))
		from := c.r
		ex.src = c.buf
		if left -= int64(n); left == 0 {
			ex.letGo(n)
		}
		if !ex.pass(from, from+n) {
			return
		}
		ex.sent += int64(n)
		if left == 0 {
			return
		}
		c.skip(n)
		if err := ex.more(); err != nil {
			ex.breaksOff(frameLength)
			return
		}
	}
}

// relayPieces passes on a body without a length: chunks, or all up to the end of the connection.
func (ex *exchange) relayPieces(as framing) {
	c := ex.conn
	ex.chunks.reset(ex.head.trailers)
	for ended := false; ; {
		p := c.data()
		n, used := len(p), len(p)
		if ex.answer.framing == frameChunked {
			var bad *refusal
			if n, used, bad = ex.chunks.decode(p); bad != nil {
				ex.breaksOff(as)
				return
			}
			ended = ex.chunks.ended()
		}
		from := c.r
		if ex.src = c.buf; ended {
			ex.letGo(used)
		}
		if n > 0 || ended || len(ex.out) > 0 {
			if !ex.passPiece(from, from+n, as, ended) {
				return
			}
		}
		ex.sent += int64(n)
		if ended {
			return
		}
		c.skip(used)
		if err := ex.more(); err != nil {
			if ended = isEnd(err) && ex.answer.framing == frameClose; !ended {
				ex.breaksOff(as)
				return
			}
		}
	}
}

// passPiece frames data in its place, as chunks where the client knows them.
func (ex *exchange) passPiece(from, to int, as framing, ended bool) bool {
	if as != frameChunked {
		return ex.pass(from, to)
	}
	var b []byte
	if to > from {
		b = ex.src.b
		var size [maxChunkHead]byte
		line := append(strconv.AppendInt(size[:0], int64(to-from), 16), "\r\n"...)
		from -= len(line)
		copy(b[from:], line)
		to += copy(b[to:], "\r\n")
	}
	switch {
	case !ended:
	case to > from && len(ex.chunks.trailer) == 0:
		to += copy(b[to:], "0\r\n\r\n")
	default:
		if to > from && !ex.pass(from, to) {
			return false
		}
		ex.out = append(append(append(ex.out, "0\r\n"...), ex.chunks.trailer...), "\r\n"...)
		return ex.pass(0, 0)
	}
	return ex.pass(from, to)
}

// breaksOff ends an answer that the member did not finish. The client must not take it for whole:
// before the first byte it gets a 502, after that a connection that ends too soon.
func (ex *exchange) breaksOff(as framing) {
	ex.brokeOff, ex.closing = !ex.clientsFault(), true
	if !ex.begun {
		ex.refuse(502, "the server gave an unusable answer", true)
		return
	}
	if as == frameClose {
		ex.client.reset()
	}
}

// errTimedOut is a wait that the watcher ended.
var errTimedOut error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string   { return "lb: a time limit passed" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }
