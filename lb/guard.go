package lb

import "bytes"

// guardState is where in a client's stream of requests the next byte belongs.
type guardState uint8

const (
	guardStart  guardState = iota // before a request; one empty line may come first
	guardCR                       // the CR of that empty line was seen
	guardHead                     // within a head
	guardLength                   // within a body of known length
	guardChunks                   // within a chunked body
)

// guard frames the requests of one connection by their raw bytes, before the server's own parser
// gets them: not one byte past the first fault of a message is handed on, however the bytes were
// cut into reads. The parser behind it may be more lenient; it only ever sees what the strict
// check has passed.
//
//	start -> head -> (length | chunks) -> start ...        any fault -> refused, for good
type guard struct {
	state   guardState
	skipped bool  // an empty line came before the present request
	limit   int   // of a head, in bytes
	left    int64 // of a body of known length
	part    []byte
	chunks  chunks
	bad     *refusal
	// tell: nothing of the refused message was handed on. The parser has to get a byte of it, any
	// byte, or it takes the connection for idle and closes it without the answer that says why.
	tell bool
}

// admit judges what a client sent next and moves what may be handed on to the front of p; n is
// how much that is.
func (g *guard) admit(p []byte) (n int) {
	for r := 0; r < len(p); {
		rest := p[r:]
		var used int
		pass := g.state >= guardHead
		switch g.state {
		case guardLength:
			used = int(min(g.left, int64(len(rest))))
			if g.left -= int64(used); g.left == 0 {
				g.begin()
			}
		case guardChunks:
			used = g.chunked(rest)
		case guardHead:
			used = g.head(rest)
		default:
			used = g.emptyLine(rest)
		}
		if pass {
			if n < r { // something was taken out before
				copy(p[n:], p[r:r+used])
			}
			n += used
		}
		r += used
		if g.bad != nil {
			g.tell = g.state <= guardHead && len(g.part) == 0
			g.part = nil
			return n
		}
	}
	return n
}

// begin waits for the next request.
func (g *guard) begin() { g.state, g.skipped = guardStart, false }

// emptyLine takes out the one empty line that may precede a request (RFC 9112 2.2).
func (g *guard) emptyLine(p []byte) (used int) {
	switch {
	case g.state == guardCR && p[0] == '\n':
		g.state, g.skipped = guardStart, true
		return 1
	case g.state == guardStart && p[0] == '\r' && !g.skipped:
		g.state = guardCR
		return 1
	case g.state == guardCR, p[0] == '\r', p[0] == '\n':
		g.bad = errBareLF
		return 0
	}
	g.state = guardHead
	return 0
}

// head looks for the end of the head in p, together with the parts that came before, and judges
// it there. A head that came in one piece, as nearly all do, is not copied.
func (g *guard) head(p []byte) (used int) {
	whole, had := p, 0
	if len(g.part) > 0 {
		had = len(g.part)
		g.part = append(g.part, p[:min(len(p), g.limit+1)]...)
		whole = g.part
	}
	from := max(0, had-3)
	end := bytes.Index(whole[from:], []byte("\r\n\r\n"))
	switch {
	case end >= 0:
		end += from + 4
	case len(whole) > g.limit:
		g.bad = errHeadSize
		return 0
	case hasBareLF(whole, had):
		g.bad = errBareLF
		return 0
	default:
		if had == 0 {
			g.part = append(g.part, p...)
		}
		return len(p)
	}
	if end > g.limit {
		g.bad = errHeadSize
		return 0
	}
	var h head
	if g.bad = checkRequestHead(whole[:end], &h); g.bad != nil {
		return 0
	}
	g.part = nil
	switch h.framing {
	case frameChunked:
		g.state = guardChunks
		g.chunks.reset(false)
	case frameLength:
		if g.state, g.left = guardLength, h.length; g.left == 0 {
			g.begin()
		}
	default:
		g.begin()
	}
	return end - had
}

// hasBareLF looks at the bytes from had on: a parser that takes LF LF for the end of a head must
// not get one that is still being waited for here.
func hasBareLF(b []byte, had int) bool {
	for i := had; i < len(b); i++ {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return false
		}
		if i += j; i == 0 || b[i-1] != '\r' {
			return true
		}
	}
	return false
}

// chunked hands on a chunked body up to its end or its first fault.
func (g *guard) chunked(p []byte) (used int) {
	for used < len(p) {
		_, n, bad := g.chunks.next(p[used:])
		used += n
		if g.bad = bad; bad != nil {
			return used
		}
		if g.chunks.ended() {
			g.begin()
			break
		}
	}
	return used
}
