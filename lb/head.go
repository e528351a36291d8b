package lb

import (
	"bytes"
	"net/netip"
	"strconv"
)

// headIn is a request as the listener got it, with what the balancer adds.
type headIn struct {
	method, target []byte
	http11         bool
	raw            []byte // the header lines as received, ending in an empty line
	bodyLen        int
	peer           netip.Addr
	trusted        bool   // the peer may say who the client is
	secure         bool   // the client speaks TLS
	fallbackHost   string // for HTTP/1.0 without Host
}

// refusal is why a request is not forwarded: an HTTP status and a text without any of its bytes.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// What the strict check refuses (RFC 9112: sections at each). One value each: no allocation.
var (
	errVersion   = &refusal{505, "only HTTP/1.x is spoken here"}
	errConnect   = &refusal{405, "CONNECT is not offered"}
	errTarget    = &refusal{400, "malformed request target"}                            // 3.2
	errBareLF    = &refusal{400, "header lines must end in CRLF"}                       // 2.2
	errFold      = &refusal{400, "folded header lines are obsolete"}                    // 5.2
	errFieldName = &refusal{400, "malformed header name"}                               // 5.1
	errFieldText = &refusal{400, "control character in a header"}                       // RFC 9110 5.5
	errHost      = &refusal{400, "exactly one Host is needed"}                          // 3.2
	errFraming   = &refusal{400, "Content-Length and Transfer-Encoding exclude others"} // 6.3
	errCoding    = &refusal{400, "the only Transfer-Encoding is chunked"}               // 6.1
	errConnOpts  = &refusal{400, "too many Connection options"}
)

const maxConnectionOptions = 16

// head is what the check found.
type head struct {
	host        []byte
	target      []byte // origin form
	closeClient bool   // "close" is among the Connection options
	idempotent  bool   // carries an Idempotency-Key
	forwarded   []byte // the last X-Forwarded-For line
	options     [maxConnectionOptions][]byte
	nOptions    int
}

// field is one header line.
type field struct{ name, value []byte }

// eachField walks the header lines of raw, strictly: CRLF ends, no folding, token names, no
// control bytes. Accepting only what has one meaning is what keeps the servers behind us from
// reading another (request smuggling).
func eachField(raw []byte, f func(field) *refusal) *refusal {
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return errBareLF
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			if len(raw) > 0 {
				return errBareLF
			}
			return nil
		}
		if line[0] == ' ' || line[0] == '\t' {
			return errFold
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || !isToken(line[:colon]) {
			return errFieldName
		}
		value := bytes.Trim(line[colon+1:], " \t")
		for _, c := range value {
			if c < ' ' && c != '\t' || c == 0x7f {
				return errFieldText
			}
		}
		if r := f(field{line[:colon], value}); r != nil {
			return r
		}
	}
	return nil
}

// check judges a request before anything is decided about it.
func (in *headIn) check(h *head) *refusal {
	if string(in.method) == "CONNECT" {
		return errConnect
	}
	hosts, lengths, codings := 0, 0, 0
	if r := eachField(in.raw, func(f field) *refusal {
		switch {
		case is(f.name, "host"):
			hosts++
			h.host = f.value
		case is(f.name, "content-length"):
			lengths++
		case is(f.name, "transfer-encoding"):
			if !is(f.value, "chunked") {
				return errCoding
			}
			codings++
		case is(f.name, "idempotency-key"):
			h.idempotent = len(f.value) > 0
		case is(f.name, "x-forwarded-for"):
			h.forwarded = f.value
		case is(f.name, "connection"):
			return h.addOptions(f.value)
		}
		return nil
	}); r != nil {
		return r
	}
	if hosts > 1 || hosts == 0 && in.http11 || !validHost(h.host) {
		return errHost
	}
	if lengths > 1 || codings > 1 || lengths+codings > 1 {
		return errFraming
	}
	// A key that the member will not see makes nothing idempotent.
	h.idempotent = h.idempotent && !named(h.options[:h.nOptions], []byte("idempotency-key"))
	return h.originForm(in)
}

func (h *head) addOptions(value []byte) *refusal {
	for option := range bytes.SplitSeq(value, []byte(",")) {
		option = bytes.Trim(option, " \t")
		if len(option) == 0 {
			continue
		}
		if is(option, "close") {
			h.closeClient = true
		}
		if h.nOptions == maxConnectionOptions {
			return errConnOpts
		}
		h.options[h.nOptions] = option
		h.nOptions++
	}
	return nil
}

// originForm reduces an absolute-form target to path and query; its authority replaces Host
// (RFC 9112 3.2.2). Everything else is forwarded as received.
func (h *head) originForm(in *headIn) *refusal {
	t := in.target
	switch {
	case len(t) > 0 && t[0] == '/':
	case string(t) == "*" && string(in.method) == "OPTIONS":
	default:
		scheme, rest, ok := bytes.Cut(t, []byte("://"))
		if !ok || !is(scheme, "http") && !is(scheme, "https") {
			return errTarget
		}
		end := bytes.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		authority := rest[:end]
		if len(authority) == 0 || !validHost(authority) {
			return errTarget
		}
		h.host, t = authority, rest[end:]
		if len(t) == 0 || t[0] == '?' {
			t = append([]byte("/"), t...)
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

// appendRequest writes the request as the member gets it.
func (h *head) appendRequest(dst []byte, in *headIn) []byte {
	dst = append(dst, in.method...)
	dst = append(dst, ' ')
	dst = append(dst, h.target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	if len(h.host) > 0 {
		dst = appendField(dst, "Host", h.host)
	} else {
		dst = append(append(append(dst, "Host: "...), in.fallbackHost...), "\r\n"...)
	}
	framed, hasProto, hasHost := false, false, false
	// The check has passed, so the walk cannot fail.
	_ = eachField(in.raw, func(f field) *refusal {
		switch {
		case is(f.name, "host"):
			return nil
		case is(f.name, "content-length"), is(f.name, "transfer-encoding"):
			framed = true
			return nil
		case is(f.name, "expect") && is(f.value, "100-continue"):
			return nil // answered by the listener, which has the whole body by now
		case h.hopByHop(f.name):
			return nil
		case is(f.name, "x-forwarded-for"), !in.trusted && isForwarding(f.name):
			return nil
		case is(f.name, "x-forwarded-proto"):
			hasProto = true
		case is(f.name, "x-forwarded-host"):
			hasHost = true
		}
		dst = appendField(dst, f.name, f.value)
		return nil
	})
	dst = h.appendForwarded(dst, in, hasProto, hasHost)
	if in.bodyLen > 0 || framed || expectsBody(in.method) {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(in.bodyLen), 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

func (h *head) appendForwarded(dst []byte, in *headIn, hasProto, hasHost bool) []byte {
	dst = append(dst, "X-Forwarded-For: "...)
	if in.trusted {
		_ = eachField(in.raw, func(f field) *refusal {
			if is(f.name, "x-forwarded-for") && len(f.value) > 0 {
				dst = append(append(dst, f.value...), ", "...)
			}
			return nil
		})
	}
	dst = append(in.peer.AppendTo(dst), "\r\n"...)
	if !hasProto {
		proto := "http"
		if in.secure {
			proto = "https"
		}
		dst = append(append(append(dst, "X-Forwarded-Proto: "...), proto...), "\r\n"...)
	}
	if !hasHost && len(h.host) > 0 {
		dst = appendField(dst, "X-Forwarded-Host", h.host)
	}
	return dst
}

// hopByHop says whether a field is meant for this connection only (RFC 9110 7.6.1).
func (h *head) hopByHop(name []byte) bool {
	return isHopByHop(name) || named(h.options[:h.nOptions], name)
}
