package lb

import (
	"bytes"
	"io"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// wholeBody is the longest answer of known length that is read before the first byte goes
	// to the client: a member that breaks off meanwhile still gives a clean 502.
	wholeBody = 64 << 10
	// maxOldBody bounds an answer without a length to an HTTP/1.0 client, which has to be read
	// to its end because such a client knows no chunks.
	maxOldBody = 8 << 20
)

// readHead reads the final head of an answer into ctx.Response and takes out what concerns the
// connection to the member only.
func (ex *exchange) readHead(ctx *fasthttp.RequestCtx, c *upConn) error {
	h := &ctx.Response.Header
	h.DisableNormalizing() // names reach the client as the member wrote them
	for n := 0; ; n++ {
		ex.answer = answerHead{}
		if err := checkHead(c.br, &ex.answer); err != nil {
			return err
		}
		if err := h.Read(c.br); err != nil {
			return err
		}
		if ex.answer.status == 101 {
			return errInterim101
		}
		if ex.answer.status >= 200 {
			break
		}
		if n == maxInterim {
			return errManyAnswer
		}
	}
	ex.upClose = ex.upClose || ex.answer.close
	ex.stripHopByHop(h)
	h.ResetConnectionClose()
	if string(h.Protocol()) != "HTTP/1.1" {
		h.SetProtocol([]byte("HTTP/1.1"))
	}
	return nil
}

// stripHopByHop removes one field at a time: removing moves the others, and there are few.
func (ex *exchange) stripHopByHop(h *fasthttp.ResponseHeader) {
	var options [][]byte
	for name, value := range h.All() {
		if !is(name, "connection") {
			continue
		}
		for option := range bytes.SplitSeq(bytes.Clone(value), []byte(",")) {
			option = bytes.Trim(option, " \t")
			if is(option, "close") {
				ex.upClose = true
			} else if !is(option, "keep-alive") && !framesBody(option) {
				options = append(options, option)
			}
		}
	}
	for {
		found := false
		for name := range h.All() {
			if isHopByHop(name) && !is(name, "transfer-encoding") || named(options, name) {
				ex.name = append(ex.name[:0], name...)
				found = true
				break
			}
		}
		if !found {
			return
		}
		h.DelBytes(ex.name)
		if is(ex.name, "connection") {
			h.ResetConnectionClose()
		}
	}
}

// clear takes a failed attempt's answer out of resp. Response.Reset would do too much: it also
// drops the settings that the server made for this response.
func (ex *exchange) clear(resp *fasthttp.Response) {
	ex.upClose, ex.whole, ex.stream = false, false, nil
	resp.ResetBody()
	h := &resp.Header
	for {
		ex.name = ex.name[:0]
		for name := range h.All() {
			ex.name = append(ex.name, name...)
			break
		}
		if len(ex.name) == 0 {
			break
		}
		h.DelBytes(ex.name)
		h.ResetConnectionClose()
	}
	h.SetStatusCode(fasthttp.StatusOK)
	h.SetStatusMessage(nil)
	h.SetProtocol([]byte("HTTP/1.1"))
}

// framesBody names what no Connection option may take away: the framing is ours to translate.
func framesBody(name []byte) bool {
	return is(name, "content-length") || is(name, "transfer-encoding")
}

// readBody reads a short answer, or sets up the streaming of a long one.
func (ex *exchange) readBody(ctx *fasthttp.RequestCtx, c *upConn) outcome {
	resp := &ctx.Response
	length := resp.Header.ContentLength()
	if ex.answer.bodiless(ctx.IsHead()) {
		resp.Header.Del(fasthttp.HeaderTransferEncoding)
		ex.whole = true
		// A 204 has no body (RFC 9110 15.3.5). Should one that announces it bring it all the same,
		// it must not be read as the next answer.
		if ex.answer.status == fasthttp.StatusNoContent && ex.answer.framing != frameClose {
			ex.upClose = ex.upClose || ex.answer.framing == frameChunked || ex.answer.length > 0
			resp.Header.Del(fasthttp.HeaderContentLength)
		}
		return answered
	}
	switch {
	case length >= 0 && length <= wholeBody:
		return ex.readWhole(resp, c, length)
	case length < 0 && !ex.in.http11:
		return ex.readOld(ctx, c, length)
	}
	s := &bodyStream{ex: ex, c: c, left: int64(length)}
	switch {
	case length >= 0:
		s.r = io.LimitReader(c.br, int64(length))
	case length == -1:
		s.chunks.br = c.br
		s.r, s.chunked = &s.chunks, true
	default:
		s.r, s.toClose, ex.upClose = c.br, true, true
	}
	ex.stream = s
	resp.SetBodyStream(s, max(length, -1))
	return answered
}

func (ex *exchange) readWhole(resp *fasthttp.Response, c *upConn, length int) outcome {
	if c.br.Buffered() < length {
		if err := c.SetReadDeadline(time.Now().Add(stallTimeout)); err != nil {
			return malformed
		}
	}
	for left := length; left > 0; {
		p, err := c.br.Peek(min(left, max(1, c.br.Buffered())))
		if err != nil {
			return malformed
		}
		resp.AppendBody(p)
		n, _ := c.br.Discard(len(p)) // what was peeked is there
		left -= n
	}
	ex.whole = true
	return answered
}

// readOld reads an answer without a length to its end, for an HTTP/1.0 client. One that is too
// long or takes too long for that is no fault of the member: the balancer answers instead.
func (ex *exchange) readOld(ctx *fasthttp.RequestCtx, c *upConn, length int) outcome {
	if err := c.SetReadDeadline(time.Now().Add(stallTimeout)); err != nil {
		return malformed
	}
	var r io.Reader = c.br
	if length == -1 {
		r = &chunkReader{br: c.br}
	} else {
		ex.upClose = true
	}
	body, err := io.ReadAll(io.LimitReader(r, maxOldBody+1))
	if len(body) > maxOldBody || isTimeout(err) {
		ex.clear(&ctx.Response)
		refuse(ctx, fasthttp.StatusBadGateway, "the answer is too long for HTTP/1.0, use HTTP/1.1")
		return answered
	}
	if err != nil {
		return malformed
	}
	ctx.Response.SetBodyRaw(body)
	ex.whole = true
	return answered
}

// bodyStream carries a long answer to the client as it arrives. The listener's server reads and
// closes it; closing ends the exchange.
type bodyStream struct {
	ex      *exchange
	c       *upConn
	r       io.Reader
	left    int64 // of a known length
	ended   bool  // the end was reported
	chunked bool
	chunks  chunkReader
	toClose bool // the end of the connection is the end of the body
}

// Read gives the next bytes. Both deadlines move on with every read: a body may take as long as
// it likes while it moves.
func (s *bodyStream) Read(p []byte) (int, error) {
	if s.ended {
		return 0, io.EOF
	}
	now := time.Now()
	// Even with bytes at hand: they may be half of a chunk's head, and the time that a slow client
	// took for the bytes before must not count against the member.
	if err := s.c.SetReadDeadline(now.Add(stallTimeout)); err != nil {
		return 0, err
	}
	if err := s.ex.client.SetWriteDeadline(now.Add(stallTimeout)); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.left -= int64(n)
	s.ex.sent += int64(n)
	if err != io.EOF {
		s.ex.brokeOff = s.ex.brokeOff || err != nil
		return n, err
	}
	s.ended = true
	switch {
	case s.chunked, s.toClose:
		s.ex.whole = true
	default:
		s.ex.whole = s.left == 0
		if !s.ex.whole {
			s.ended, s.ex.brokeOff = false, true
			return n, io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// Close ends the exchange: the connection to the member goes back to the pool if the body was
// read to its end.
func (s *bodyStream) Close() error {
	if s.ex != nil {
		ex := s.ex
		s.ex = nil
		ex.finish()
	}
	return nil
}
