package lb

import "bytes"

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

// isHopByHop names the fields that concern one connection only (RFC 9110 7.6.1), and Trailer,
// because trailers are dropped. Authentication of proxies is between a client and its proxy.
func isHopByHop(name []byte) bool {
	switch len(name) {
	case 2:
		return is(name, "te")
	case 7:
		return is(name, "upgrade") || is(name, "trailer")
	case 10:
		return is(name, "connection") || is(name, "keep-alive")
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
	return len(name) > len(prefix) && is(name[:len(prefix)], prefix) ||
		is(name, "forwarded") || is(name, "x-real-ip")
}

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
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

// validHost accepts the bytes that uri-host and port consist of (RFC 3986 3.2.2). Empty is
// valid: a client may have no authority to name.
func validHost(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case bytes.IndexByte([]byte("-._~%!$&'()*+,;=:[]"), c) >= 0:
		default:
			return false
		}
	}
	return true
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
