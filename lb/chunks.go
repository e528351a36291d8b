package lb

// Bounds of what a chunked body may carry beside its data.
const (
	// maxChunkLine bounds the extensions of one chunk, in bytes.
	maxChunkLine = 1 << 10
	// maxChunkExt bounds the extensions of a whole body.
	maxChunkExt = 8 << 10
	// maxTrailer bounds the trailer section, in bytes.
	maxTrailer = 8 << 10
	// maxChunkDigits is what fits an int64; leading zeros count.
	maxChunkDigits = 15
)

// What a chunked body is refused for (RFC 9112 7.1).
var (
	errChunkSize    = &refusal{400, "malformed chunk size"}
	errChunkExt     = &refusal{400, "malformed or too long chunk extension"}
	errChunkEnd     = &refusal{400, "a chunk does not end in CRLF"}
	errTrailerField = &refusal{400, "malformed trailer section"}
	errTrailerName  = &refusal{400, "a field that must not be in a trailer"}
	errTrailerSize  = &refusal{400, "the trailer section is too large"}
)

// chunkState is what the next byte has to be.
type chunkState uint8

const (
	chunkSize     chunkState = iota // a digit of the size
	chunkExtName                    // of an extension
	chunkExtValue                   // first byte of the value
	chunkExtToken
	chunkExtQuoted
	chunkExtEscaped
	chunkExtAfter // the quoted value is closed
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart // of a line
	trailerName
	trailerValue
	trailerLF
	chunksLF // of the line that ends it all
	chunksEnded
)

// chunks reads a chunked body strictly, fed with pieces of any size. It accepts exactly the
// grammar of RFC 9112 7.1: no whitespace around sizes and extensions, CRLF only, no folded
// trailers. The zero value is ready for a body; Reset makes it so again.
//
//	size [;ext]* CRLF -> data CRLF -> size ... -> 0 CRLF -> trailer lines -> CRLF -> ended
//
// A body that was refused stays refused.
type chunks struct {
	state  chunkState
	digits uint8 // of the present size
	length uint8 // of what is known of a name: an extension's, or a trailer field's in name
	left   int64 // bytes of data to come in the present chunk
	line   int   // bytes of extensions in the present size line
	ext    int   // bytes of extensions in the whole body
	tail   int   // bytes of the trailer section
	name   [32]byte
	bad    *refusal

	// keep makes trailer grow by the trailer lines, each with its CRLF.
	keep    bool
	trailer []byte
}

// reset makes c ready for another body. The space of trailer is kept.
func (c *chunks) reset(keep bool) { *c = chunks{keep: keep, trailer: c.trailer[:0]} }

// ended says whether the whole body, its trailer included, was read.
func (c *chunks) ended() bool { return c.state == chunksEnded }

// next reads on in p. It stops after the first run of data, at the end of the body, or at the end
// of p: used says how many bytes of p that took, data is the run, a part of p. After the end used
// is 0: what is left of p belongs to the next message.
func (c *chunks) next(p []byte) (data []byte, used int, bad *refusal) {
	if c.bad != nil {
		return nil, 0, c.bad
	}
	for used < len(p) && c.state != chunksEnded {
		if c.state == chunkData {
			n := int(min(c.left, int64(len(p)-used)))
			data = p[used : used+n]
			if c.left -= int64(n); c.left == 0 {
				c.state = chunkDataCR
			}
			return data, used + n, nil
		}
		if c.bad = c.step(p[used]); c.bad != nil {
			return nil, used, c.bad
		}
		used++
	}
	return nil, used, nil
}

// step takes one byte that is not data.
func (c *chunks) step(b byte) *refusal {
	switch c.state {
	case chunkSize:
		return c.sizeByte(b)
	case chunkSizeLF:
		return c.sizeEnd(b)
	case chunkDataCR:
		c.state = chunkDataLF
		return expectByte(b, '\r', errChunkEnd)
	case chunkDataLF:
		c.state, c.digits, c.line = chunkSize, 0, 0
		return expectByte(b, '\n', errChunkEnd)
	case trailerStart, trailerName, trailerValue, trailerLF, chunksLF:
		return c.trailerByte(b)
	default:
		return c.extByte(b)
	}
}

func expectByte(b, want byte, bad *refusal) *refusal {
	if b != want {
		return bad
	}
	return nil
}

func (c *chunks) sizeByte(b byte) *refusal {
	switch {
	case isHex(b):
		if c.digits == maxChunkDigits {
			return errChunkSize
		}
		c.digits++
		c.left = c.left<<4 | int64(hexValue(b))
		return nil
	case c.digits == 0:
	case b == '\r':
		c.state = chunkSizeLF
		return nil
	case b == ';':
		c.state, c.length = chunkExtName, 0
		return c.extCount()
	}
	return errChunkSize
}

func hexValue(b byte) byte {
	if isDigit(b) {
		return b - '0'
	}
	return b | 0x20 - 'a' + 10
}

func (c *chunks) sizeEnd(b byte) *refusal {
	c.state = chunkData
	if c.left == 0 {
		c.state = trailerStart
	}
	return expectByte(b, '\n', errChunkSize)
}

func (c *chunks) extCount() *refusal {
	c.line++
	c.ext++
	if c.line > maxChunkLine || c.ext > maxChunkExt {
		return errChunkExt
	}
	return nil
}

// extByte reads *( ";" token [ "=" ( token / quoted-string ) ] ) CR.
func (c *chunks) extByte(b byte) *refusal {
	if bad := c.extCount(); bad != nil {
		return bad
	}
	token := isTokenByte(b)
	switch {
	case c.state == chunkExtQuoted || c.state == chunkExtEscaped:
		return c.quotedByte(b)
	case c.state == chunkExtName && token:
		c.length = 1
	case c.state == chunkExtName && c.length == 0:
		return errChunkExt
	case c.state == chunkExtName && b == '=':
		c.state = chunkExtValue
	case c.state == chunkExtValue && b == '"':
		c.state = chunkExtQuoted
	case c.state == chunkExtValue && !token:
		return errChunkExt
	case c.state == chunkExtValue:
		c.state = chunkExtToken
	case c.state == chunkExtToken && token:
	default:
		return c.extEnd(b)
	}
	return nil
}

func (c *chunks) quotedByte(b byte) *refusal {
	switch {
	case b < ' ' && b != '\t' || b == 0x7f:
		return errChunkExt
	case c.state == chunkExtEscaped:
		c.state = chunkExtQuoted
	case b == '"':
		c.state = chunkExtAfter
	case b == '\\':
		c.state = chunkExtEscaped
	}
	return nil
}

// extEnd reads what may follow a whole extension.
func (c *chunks) extEnd(b byte) *refusal {
	switch b {
	case ';':
		c.state, c.length = chunkExtName, 0
	case '\r':
		c.state = chunkSizeLF
	default:
		return errChunkExt
	}
	return nil
}

func (c *chunks) trailerByte(b byte) *refusal {
	if c.state == chunksLF {
		if b != '\n' {
			return errTrailerField
		}
		c.state = chunksEnded
		return nil
	}
	if c.state == trailerStart && b == '\r' {
		c.state = chunksLF
		return nil
	}
	if c.tail++; c.tail > maxTrailer {
		return errTrailerSize
	}
	if c.keep {
		c.trailer = append(c.trailer, b)
	}
	switch c.state {
	case trailerStart:
		c.state, c.length = trailerName, 0
		return c.nameByte(b)
	case trailerName:
		return c.nameByte(b)
	case trailerValue:
		if b == '\r' {
			c.state = trailerLF
		} else if b < ' ' && b != '\t' || b == 0x7f {
			return errTrailerField
		}
		return nil
	default:
		c.state = trailerStart
		return expectByte(b, '\n', errTrailerField)
	}
}

// nameByte keeps as much of a trailer field's name as tells the forbidden ones.
func (c *chunks) nameByte(b byte) *refusal {
	if b == ':' && c.length > 0 {
		c.state = trailerValue
		if isBadTrailer(c.name[:c.length]) {
			return errTrailerName
		}
		return nil
	}
	if !isTokenByte(b) {
		return errTrailerField
	}
	if int(c.length) < len(c.name) {
		c.name[c.length] = b
		c.length++
	}
	return nil
}

// isBadTrailer names the fields that decide framing, routing, authentication or how content is
// read: too late in a trailer, and dangerous where somebody merges it into the header (RFC 9110
// 6.5.1).
func isBadTrailer(name []byte) bool {
	if isHopByHop(name) || isForwarding(name) {
		return true
	}
	for _, bad := range [...]string{
		"content-length", "transfer-encoding", "host", "content-encoding", "content-type", "content-range",
		"authorization", "www-authenticate", "cookie", "set-cookie", "location", "idempotency-key",
		"cache-control", "expect", "max-forwards", "range",
		"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
	} {
		if isLike(name, bad) {
			return true
		}
	}
	return false
}
