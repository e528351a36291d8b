package lb

import "strconv"

// wholeBody is the longest answer of known length that is read before the first byte goes to the
// client: a member that breaks off meanwhile still gives a clean 502.
const wholeBody = 64 << 10

// readShort reads the body of a short answer of known length.
func (ex *exchange) readShort(c *upConn) outcome {
	a := &ex.answer
	ex.upClose = ex.upClose || a.close
	if a.framing != frameLength || a.length > wholeBody || a.bodiless(ex.toHead()) {
		return answered
	}
	size := ex.headLen + int(a.length)
	if size > len(c.data()) && c.buf.class < bulkBuffer && size > c.buf.class.size() {
		c.grow(bulkBuffer)
	}
	for size > len(c.data()) {
		if err := c.fill(headBuffer, bulkBuffer, 0); err != nil {
			return ex.headFault(err)
		}
		ex.seen = ex.p.now()
	}
	return answered
}

func (ex *exchange) toHead() bool { return string(ex.head.method) == "HEAD" }

// appendAnswer writes the head of an answer as the client gets it: raw is the member's, with
// framing and connection of our own in the place of its.
func (ex *exchange) appendAnswer(dst, raw []byte, as framing, closing bool) []byte {
	const version = "HTTP/1.1"
	line := raw[len(version) : len(raw)-len(ex.answer.fields)]
	ex.answer.fields = raw[len(raw)-len(ex.answer.fields):] // it may have moved since it was checked
	dst = append(dst, version...)
	if len(line) == len(" 200\r\n") { // no reason: the blank before it is needed all the same
		dst = append(append(dst, line[:4]...), " \r\n"...)
	} else {
		dst = append(dst, line...)
	}
	l := ex.listener
	stamped := l.idAnswer && len(ex.id) > 0
	if ex.answer.nCuts >= 0 && !ex.answer.options && !stamped && !ex.head.trailers {
		dst = ex.answer.appendFields(dst)
	} else {
		dst = ex.chooseFields(dst, as, stamped)
	}
	if stamped {
		dst = appendField(dst, l.idName, ex.id)
	}
	if ex.visitor.stale && ex.answer.status >= 200 {
		dst = ex.pool.appendSetCookie(dst, &ex.visitor, l.secure())
	}
	switch {
	case as == frameLength:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, ex.answer.length, 10)
		dst = append(dst, "\r\n"...)
	case as == frameChunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case ex.answer.status == 101:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case ex.answer.status < 200:
	case closing:
		dst = append(dst, "Connection: close\r\n"...)
	case !ex.head.http11:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendFields copies all lines but the cuts.
func (a *answerHead) appendFields(dst []byte) []byte {
	from := 0
	for _, cut := range a.cuts[:a.nCuts] {
		dst = append(dst, a.fields[from:cut.from]...)
		from = cut.to
	}
	return append(dst, a.fields[from:len(a.fields)-len("\r\n")]...)
}

// chooseFields writes the lines of an answer that depend on more than their names.
func (ex *exchange) chooseFields(dst []byte, as framing, stamped bool) []byte {
	var options connectionOptions
	if ex.answer.options {
		options.read(ex.answer.fields)
	}
	eachChecked(ex.answer.fields, func(f field) {
		switch {
		case is(f.name, "content-length"), is(f.name, "transfer-encoding"):
			return
		case is(f.name, "trailer"):
			if as != frameChunked || !ex.head.trailers {
				return
			}
		case isHopByHop(f.name), options.name(f.name), stamped && is(f.name, ex.listener.idLower):
			return
		}
		dst = appendLine(dst, f)
	})
	return dst
}

// connectionOptions are the fields that a member's Connection takes along. The framing is ours to
// translate: nothing takes it away.
type connectionOptions struct {
	of [maxConnectionOptions][]byte
	n  int
}

func (o *connectionOptions) read(fields []byte) {
	eachChecked(fields, func(f field) {
		for value, more := f.value, is(f.name, "connection"); more && o.n < len(o.of); {
			var option []byte
			if option, value, more = cutByte(value, ','); len(trimOWS(option)) > 0 {
				o.of[o.n] = trimOWS(option)
				o.n++
			}
		}
	})
}

func (o *connectionOptions) name(field []byte) bool { return o.n > 0 && named(o.of[:o.n], field) }
