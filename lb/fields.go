package lb

import (
	"bytes"
	"encoding/binary"
)

// is compares a header name or token with one in lower case, ignoring case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// isLike is is, with "_" for "-" as well: CGI and what descends from it make both the same
// variable, so that a name with "_" would say there what the strict check did not see.
func isLike(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c == '_' {
			c = '-'
		} else if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// isHopByHop names the fields that concern one connection only (RFC 9110 7.6.1), and Trailer,
// because trailers are dropped. Authentication of proxies is between a client and its proxy;
// HTTP2-Settings asks for a protocol that is not spoken here, whatever Connection says of it.
func isHopByHop(name []byte) bool {
	switch len(name) {
	case 2:
		return is(name, "te")
	case 7:
		return is(name, "upgrade") || is(name, "trailer")
	case 10:
		return is(name, "connection") || is(name, "keep-alive")
	case 14:
		return is(name, "http2-settings")
	case 16:
		return is(name, "proxy-connection")
	case 17:
		return is(name, "transfer-encoding")
	case 18:
		return is(name, "proxy-authenticate")
	case 19:
		return is(name, "proxy-authorization")
	}
	return false
}

// isForwarding names the fields by which a proxy tells who the client is: from anyone else they
// are a claim that nobody checked.
func isForwarding(name []byte) bool {
	const prefix = "x-forwarded-"
	return len(name) > len(prefix) && isLike(name[:len(prefix)], prefix) ||
		is(name, "forwarded") || isLike(name, "x-real-ip")
}

// lengthAmong says whether the length of a name is one of a set: most fields are none of those that
// concern us, and this is enough to tell.
func lengthAmong(name []byte, lengths uint32) bool { return lengths>>len(name)&1 != 0 }

// named says whether name is among the Connection options.
func named(options [][]byte, name []byte) bool {
	for _, o := range options {
		if bytes.EqualFold(o, name) {
			return true
		}
	}
	return false
}

// isToken is the rule for names (RFC 9110 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if !isTokenByte(c) {
			return false
		}
	}
	return len(b) > 0
}

// isTokenByte looks up tchar in a bitmap of the two halves of ASCII.
func isTokenByte(c byte) bool {
	const (
		low  = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' | 0x3ff<<'0'
		high = 0x3ffffff<<('A'-64) | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 0x3ffffff<<('a'-64) | 1<<('|'-64) | 1<<('~'-64)
	)
	if c < 64 {
		return uint64(low)>>c&1 != 0
	}
	return c < 128 && uint64(high)>>(c-64)&1 != 0
}

// isFieldText says whether b has no control byte but tabs (RFC 9110 5.5). Values are most of a
// head, so eight bytes are looked at at a time, and one by one only where one of them is odd.
func isFieldText(b []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		del := w ^ ones*0x7f
		below := (w - ones*' ') & ^w & tops
		if below|(del-ones)&^del&tops != 0 && !isFieldBytes(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return isFieldBytes(b)
}

func isFieldBytes(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// cutByte cuts b at the first sep.
func cutByte(b []byte, sep byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(b, sep); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

// trimOWS removes optional whitespace (RFC 9110 5.6.3): blanks and tabs, nothing else.
func trimOWS(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// validAuthority accepts host and optional port as RFC 3986 3.2 writes them, without user, and
// without the comma, at which some server would split a list.
func validAuthority(b []byte) bool {
	host, port := b, []byte(nil)
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 2 {
			return false
		}
		for _, c := range b[1:end] {
			if !isHex(c) && c != ':' && c != '.' {
				return false
			}
		}
		if host, port = b[:end+1], b[end+1:]; len(port) > 0 && port[0] != ':' {
			return false
		}
	} else if i := bytes.IndexByte(b, ':'); i >= 0 {
		host, port = b[:i], b[i:]
	}
	return len(host) > 0 && (host[0] == '[' || validName(host)) && validPort(port)
}

// validName is a reg-name (RFC 3986 3.2.2).
func validName(b []byte) bool {
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', isDigit(c):
		case c == '%':
			if len(b) < i+3 || !isHex(b[i+1]) || !isHex(b[i+2]) {
				return false
			}
		case bytes.IndexByte([]byte("-._~!$&'()*+;="), c) < 0:
			return false
		}
	}
	return true
}

// validPort is what may follow a host: nothing, or a colon and a port, which may be missing.
func validPort(b []byte) bool {
	if len(b) < 2 {
		return true
	}
	n, ok := parseLength(b[1:])
	return ok && len(b) <= 6 && n <= 65535
}

// isSafe names the methods that change nothing (RFC 9110 9.2.1).
func isSafe(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// expectsBody names the methods for which a missing length would be misread (RFC 9110 8.6).
func expectsBody(method []byte) bool {
	switch string(method) {
	case "POST", "PUT", "PATCH":
		return true
	}
	return false
}

func appendField[N []byte | string](dst []byte, name N, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// framesBody names what says where a body ends.
func framesBody(name []byte) bool {
	return is(name, "content-length") || is(name, "transfer-encoding")
}
