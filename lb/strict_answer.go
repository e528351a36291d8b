package lb

import "bytes"

// What the strict check refuses in an answer beside what it refuses in any head (RFC 9112). The
// client gets 502 for each.
var (
	errStatusLine = &refusal{502, "malformed status line"}                    // 4
	errInterim101 = &refusal{502, "the member changed protocols on its own"}  // RFC 9110 15.2.2
	errManyAnswer = &refusal{502, "too many interim answers"}                 // ours
	errAnswerBody = &refusal{502, "an answer with this status has no length"} // RFC 9110 8.6
)

// answerHead is what the check found in the head of an answer.
type answerHead struct {
	status  int
	http11  bool
	framing framing // as the fields say; HEAD, 1xx, 204 and 304 have no body whatever they say
	length  int64   // where framing is frameLength
	close   bool    // the member closes the connection after it
	persist bool    // "keep-alive" is among the Connection options
	upgrade bool    // carries Upgrade, to WebSocket
	options bool    // Connection names more than close and keep-alive
	ownConn bool    // asks for credentials that hold for the connection (NTLM, Negotiate)
	fields  []byte  // the header lines with the empty line that ends them
	// cuts are the lines that are not passed on, where names alone say so and all other lines have
	// the usual form; nCuts is -1 where that is not so.
	cuts  [maxCuts]span
	nCuts int
}

// maxCuts is how many lines are left out before an answer is worked through line by line.
const maxCuts = 6

// span is a part of the header lines.
type span struct{ from, to int }

// note takes the line that begins at from.
func (a *answerHead) note(f field, from int) {
	cut := is(f.name, "content-length") || isHopByHop(f.name)
	switch {
	case a.nCuts < 0, !cut && f.usual():
	case !cut, a.nCuts == maxCuts:
		a.nCuts = -1
	default:
		a.cuts[a.nCuts] = span{from, from + len(f.line)}
		a.nCuts++
	}
}

// checkAnswerHead judges a whole head, from the first byte of the status line to the end of the
// empty line, as strictly as a request's: what could end elsewhere for the client than for us
// would let a member, or whoever writes into its headers, make up the next answer. a must be zero.
func checkAnswerHead(raw []byte, a *answerHead) *refusal {
	end := bytes.IndexByte(raw, '\n')
	if end < 1 || raw[end-1] != '\r' {
		return errBareLF
	}
	if bad := a.statusLine(raw[:end-1]); bad != nil {
		return bad
	}
	var n counts
	a.fields = raw[end+1:]
	at := 0
	if bad := eachField(a.fields, func(f field) *refusal {
		a.note(f, at)
		at += len(f.line)
		return a.take(f, &n)
	}); bad != nil {
		return bad
	}
	var bad *refusal
	if a.framing, bad = n.framing(a.http11, frameClose); bad != nil {
		return bad
	}
	if a.status < 200 && a.framing != frameClose {
		return errAnswerBody
	}
	a.close = a.close || !a.http11 && !a.persist
	return nil
}

// take notes what a header line says about the connection.
func (a *answerHead) take(f field, n *counts) *refusal {
	switch {
	case !lengthAmong(f.name, 1<<7|1<<10|1<<14|1<<16|1<<17|1<<18): // no other is below
	case is(f.name, "content-length"):
		n.lengths++
		var ok bool
		if a.length, ok = parseLength(f.value); !ok {
			return errLength
		}
	case is(f.name, "transfer-encoding"):
		n.codings++
		if !is(f.value, "chunked") { // TE is never sent on, so nothing else was asked for
			return errCoding
		}
	case is(f.name, "connection"):
		a.close = a.close || hasOption(f.value, "close")
		a.persist = a.persist || hasOption(f.value, "keep-alive")
		a.options = a.options || !is(f.value, "close") && !is(f.value, "keep-alive")
	case is(f.name, "upgrade"):
		a.upgrade = is(f.value, "websocket")
	case is(f.name, "www-authenticate"), is(f.name, "proxy-authenticate"):
		a.ownConn = a.ownConn || bindsConnection(f.value)
	}
	return nil
}

// statusLine reads HTTP-version SP 3DIGIT [ SP reason ]. The blank before a missing reason may be
// missing too: many servers leave it out.
func (a *answerHead) statusLine(line []byte) *refusal {
	if len(line) < 12 || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return errStatusLine
	}
	http11, bad := checkVersion(line[:8])
	if bad != nil {
		return errStatusLine
	}
	for _, c := range line[9:12] {
		if !isDigit(c) {
			return errStatusLine
		}
		a.status = a.status*10 + int(c-'0')
	}
	if !isFieldText(line[12:]) {
		return errStatusLine
	}
	if a.status < 100 || a.status > 599 {
		return errStatusLine
	}
	a.http11 = http11
	return nil
}

// bodiless says whether an answer ends with its head whatever its fields say (6.3).
func (a *answerHead) bodiless(toHead bool) bool {
	return toHead || a.status < 200 || a.status == 204 || a.status == 304
}

// hasOption looks for a word in a Connection field.
func hasOption(value []byte, lower string) bool {
	for more := true; more; {
		var option []byte
		if option, value, more = cutByte(value, ','); is(trimOWS(option), lower) {
			return true
		}
	}
	return false
}
