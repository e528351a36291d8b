package lb

import "bytes"

// This file judges a request by its raw bytes (LB6). What it accepts has one meaning for every
// server that reads HTTP/1.1; what could have two is refused and the connection closed, because
// two readings of one message are what request smuggling is made of. strict_answer.go does the
// same for answers, chunks.go for chunked bodies; there is no other parser. Nothing here allocates.

// refusal is why a message is not passed on: an HTTP status and a text without any of its bytes.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// What the strict check refuses (RFC 9112 where no other is named). One value each: no allocation.
var (
	errRequestLine = &refusal{400, "malformed request line"}                              // 3
	errVersion     = &refusal{505, "only HTTP/1.0 and 1.1 are spoken here"}               // 2.3
	errMethod      = &refusal{400, "malformed method"}                                    // 3.1
	errConnect     = &refusal{405, "CONNECT is not offered"}                              // RFC 9110 9.3.6
	errTraceBody   = &refusal{400, "TRACE has no body"}                                   // RFC 9110 9.3.8
	errTarget      = &refusal{400, "malformed request target"}                            // 3.2
	errBareLF      = &refusal{400, "lines must end in CRLF"}                              // 2.2
	errFold        = &refusal{400, "folded header lines are obsolete"}                    // 5.2
	errFieldName   = &refusal{400, "malformed header name"}                               // 5.1
	errFieldText   = &refusal{400, "control character in a header"}                       // RFC 9110 5.5
	errHost        = &refusal{400, "exactly one valid Host is needed"}                    // 3.2
	errLength      = &refusal{400, "malformed Content-Length"}                            // 6.3
	errFraming     = &refusal{400, "Content-Length and Transfer-Encoding exclude others"} // 6.3
	errCoding      = &refusal{400, "the only Transfer-Encoding is chunked"}               // 6.1
	errCodingKnown = &refusal{501, "no Transfer-Encoding but chunked is understood"}      // 6.1
	errOldCoding   = &refusal{400, "HTTP/1.0 has no Transfer-Encoding"}                   // 6.1
	errConnOpts    = &refusal{400, "malformed or too many Connection options"}            // RFC 9110 7.6.1
	errExpect      = &refusal{417, "the only expectation known is 100-continue"}          // RFC 9110 10.1.1
	errHeadSize    = &refusal{431, "the header is too large"}                             // RFC 6585 5
)

const (
	maxConnectionOptions = 16
	// maxLengthDigits keeps a Content-Length within an int64, whatever the digits are.
	maxLengthDigits = 18
)

// framing is how the end of a body is told.
type framing uint8

const (
	frameNone    framing = iota // no body
	frameLength                 // Content-Length
	frameChunked                // Transfer-Encoding: chunked
	frameClose                  // answers only: the end of the connection
)

// head is what the check found in a request. Its slices are parts of what was checked.
type head struct {
	method      []byte
	fields      []byte // the header lines with the empty line that ends them
	http11      bool
	host        []byte
	target      []byte // origin form, or "*"
	before      byte   // written before target where an absolute form named no path: "/" or "*"
	framing     framing
	length      int64  // where framing is frameLength
	expect      bool   // the client asks for 100 Continue
	waiting     bool   // and waits for it: nothing of the body is here
	upgrade     bool   // carries Upgrade; whether it is carried on is not decided here
	protocol    []byte // of Upgrade
	trailers    bool   // takes trailers, and says so as it should
	ownConn     bool   // carries credentials that hold for the connection (NTLM, Negotiate)
	closeClient bool   // "close" is among the Connection options
	idempotent  bool   // carries an Idempotency-Key
	forwarded   []byte
	options     [maxConnectionOptions][]byte
	nOptions    int
}

// checkRequestHead judges a whole head, from the first byte of the request line to the end of the
// empty line. h must be zero.
func checkRequestHead(raw []byte, h *head) *refusal {
	end := bytes.IndexByte(raw, '\n')
	if end < 1 || raw[end-1] != '\r' {
		return errBareLF
	}
	line := raw[:end-1]
	method, rest, ok := cutByte(line, ' ')
	if !ok {
		return errRequestLine
	}
	target, version, ok := cutByte(rest, ' ')
	if !ok {
		return errRequestLine
	}
	http11, bad := checkVersion(version)
	if bad != nil {
		return bad
	}
	return h.check(method, target, raw[end+1:], http11)
}

// checkVersion wants HTTP/1.1 or HTTP/1.0. Another well-formed version is told apart.
func checkVersion(v []byte) (http11 bool, bad *refusal) {
	switch {
	case string(v) == "HTTP/1.1":
		return true, nil
	case string(v) == "HTTP/1.0":
		return false, nil
	case len(v) == 8 && string(v[:5]) == "HTTP/" && isDigit(v[5]) && v[6] == '.' && isDigit(v[7]):
		return false, errVersion
	}
	return false, errRequestLine
}

// check judges the parts of a head: method and target as received, the header lines with the
// empty line at their end. A request without header lines may have fields empty.
func (h *head) check(method, target, fields []byte, http11 bool) *refusal {
	h.method, h.fields, h.http11 = method, fields, http11
	if !isToken(method) {
		return errMethod
	}
	if string(method) == "CONNECT" {
		return errConnect
	}
	var n counts
	if bad := eachField(fields, func(f field) *refusal { return h.take(f, &n) }); bad != nil {
		return bad
	}
	if n.hosts > 1 || http11 && len(h.host) == 0 || len(h.host) > 0 && !validAuthority(h.host) {
		return errHost
	}
	var bad *refusal
	if h.framing, bad = n.framing(http11, frameNone); bad != nil {
		return bad
	}
	if h.framing != frameNone && string(method) == "TRACE" {
		return errTraceBody
	}
	// A key that the member will not see makes nothing idempotent.
	h.idempotent = h.idempotent && !named(h.options[:h.nOptions], []byte("idempotency-key"))
	h.trailers = h.trailers && named(h.options[:h.nOptions], []byte("te"))
	return h.originForm(target)
}

// counts is how often the fields came that may come once.
type counts struct{ hosts, lengths, codings int }

// framing is what Content-Length and Transfer-Encoding say together, none where there is neither
// (RFC 9112 6.3).
func (n *counts) framing(http11 bool, none framing) (framing, *refusal) {
	switch {
	case n.codings > 0 && !http11:
		return none, errOldCoding
	case n.lengths+n.codings > 1:
		return none, errFraming
	case n.codings > 0:
		return frameChunked, nil
	case n.lengths > 0:
		return frameLength, nil
	}
	return none, nil
}

// take notes what a header line says to the balancer itself.
func (h *head) take(f field, n *counts) *refusal {
	switch {
	case !lengthAmong(f.name, 1<<2|1<<4|1<<6|1<<7|1<<10|1<<13|1<<14|1<<15|1<<17|1<<19): // no other is below
	case is(f.name, "host"):
		n.hosts++
		h.host = f.value
	case isLike(f.name, "content-length"):
		n.lengths++
		return h.addLength(f)
	case isLike(f.name, "transfer-encoding"):
		n.codings++
		return checkCoding(f)
	case is(f.name, "connection"):
		return h.addOptions(f.value)
	case is(f.name, "expect"):
		if !is(f.value, "100-continue") {
			return errExpect
		}
		h.expect = h.http11 // an HTTP/1.0 client cannot mean it
	case is(f.name, "upgrade"):
		h.upgrade, h.protocol = h.http11, f.value
	case is(f.name, "te"):
		h.trailers = h.http11 && hasOption(f.value, "trailers")
	case is(f.name, "authorization"), is(f.name, "proxy-authorization"):
		h.ownConn = h.ownConn || bindsConnection(f.value)
	case is(f.name, "idempotency-key"):
		h.idempotent = len(f.value) > 0
	case is(f.name, "x-forwarded-for"):
		h.forwarded = f.value
	}
	return nil
}

func (h *head) addLength(f field) (bad *refusal) {
	if !is(f.name, "content-length") { // content_length: the same to a CGI program
		return errLength
	}
	n, ok := parseLength(f.value)
	if !ok {
		return errLength
	}
	h.length = n
	return nil
}

// parseLength reads 1*DIGIT: no sign, no list, nothing that an int64 does not hold.
func parseLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > maxLengthDigits {
		return 0, false
	}
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// checkCoding accepts chunked alone. Other codings that end in chunked are framed well, so they
// are not understood instead of malformed.
func checkCoding(f field) *refusal {
	if !is(f.name, "transfer-encoding") {
		return errCoding
	}
	v := f.value
	if is(v, "chunked") {
		return nil
	}
	for {
		coding, rest, more := cutByte(v, ',')
		coding, v = trimOWS(coding), rest
		switch {
		case !more && is(coding, "chunked"):
			return errCodingKnown
		case !more:
			return errCoding
		case is(coding, "gzip"), is(coding, "x-gzip"), is(coding, "deflate"), is(coding, "compress"), is(coding, "x-compress"):
		default:
			return errCoding
		}
	}
}

func (h *head) addOptions(value []byte) *refusal {
	for more := true; more; {
		var option []byte
		option, value, more = cutByte(value, ',')
		option = trimOWS(option)
		if len(option) == 0 {
			continue
		}
		if is(option, "close") {
			h.closeClient = true
		}
		if h.nOptions == maxConnectionOptions || !isToken(option) {
			return errConnOpts
		}
		h.options[h.nOptions] = option
		h.nOptions++
	}
	return nil
}

// originForm reduces an absolute-form target to path and query; its authority replaces Host
// (3.2.2). Everything else is forwarded as received.
func (h *head) originForm(t []byte) *refusal {
	switch {
	case len(t) > 0 && t[0] == '/':
	case string(t) == "*" && string(h.method) == "OPTIONS":
	default:
		scheme, rest, ok := bytes.Cut(t, []byte("://"))
		if !ok || !is(scheme, "http") && !is(scheme, "https") {
			return errTarget
		}
		end := bytes.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if end == 0 || !validAuthority(rest[:end]) {
			return errTarget
		}
		h.host, t = rest[:end], rest[end:]
		switch {
		case len(t) == 0 && string(h.method) == "OPTIONS":
			h.before = '*' // 3.2.4: the server as a whole is meant
		case len(t) == 0 || t[0] == '?':
			h.before = '/'
		}
	}
	for _, c := range t {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return errTarget
		}
	}
	h.target = t
	return nil
}

// field is one header line; line is all of it, with its CRLF.
type field struct{ name, value, line []byte }

// eachField walks the header lines of raw up to the empty line, strictly: CRLF ends, no folding,
// token names, no control bytes.
func eachField(raw []byte, f func(field) *refusal) *refusal {
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return errBareLF
		}
		line := raw[:end+1]
		raw = raw[end+1:]
		if end == 1 {
			if len(raw) > 0 {
				return errBareLF
			}
			return nil
		}
		name, value, bad := checkField(line[:end-1])
		if bad != nil {
			return bad
		}
		if r := f(field{name, value, line}); r != nil {
			return r
		}
	}
	return nil
}

// checkField judges one header line without its end.
func checkField(line []byte) (name, value []byte, bad *refusal) {
	n := 0
	for n < len(line) && isTokenByte(line[n]) {
		n++
	}
	switch {
	case line[0] == ' ', line[0] == '\t':
		return nil, nil, errFold
	case n == 0, n == len(line), line[n] != ':':
		return nil, nil, errFieldName
	}
	value = trimOWS(line[n+1:])
	if !isFieldText(value) {
		return nil, nil, errFieldText
	}
	return line[:n], value, nil
}

// asRefusal gives the refusal that an error is, or nil.
func asRefusal(err error) *refusal {
	bad, _ := err.(*refusal) //nolint:errorlint // never wrapped
	return bad
}
