package isalive

import (
	"bytes"
	"strings"
)

// Bounds of what is held back of a connection.
const (
	maxLine = 2 << 10
	maxPeek = 16 << 10
)

// verdict is what the first bytes of a connection tell.
type verdict int

const (
	more   verdict = iota // not decided yet
	pass                  // the server's
	legacy                // a probe for the page that a strict server would refuse
)

// start is what every request for the page begins with.
const start = "GET " + Path + "?"

// decide judges the first bytes of a connection; eof says that none will follow. It is pure.
// It returns more only while the bytes could still become a legacy probe.
func decide(b []byte, eof bool) verdict {
	if n := min(len(b), len(start)); string(b[:n]) != start[:n] {
		return pass
	}
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		switch {
		case len(b) > maxLine:
			return pass
		case !eof:
			return more
		}
		// A half-close ends the one line that has no other end; with a version it is cut off.
		if target, version, ok := requestLine(b); ok && version == "" && Match(target) {
			return legacy
		}
		return pass
	}
	if end > maxLine {
		return pass
	}
	target, version, ok := requestLine(b[:end])
	switch {
	case !ok || !Match(target):
		return pass
	case version == "":
		return legacy
	case version == "HTTP/1.0" || version == "HTTP/1.1":
		if end == 0 || b[end-1] != '\r' {
			return pass // a bare LF ends no HTTP/1 line (RFC 9112 2.2): the server refuses it
		}
		return decideHeaders(b[end+1:], version == "HTTP/1.0", eof)
	}
	return pass
}

// requestLine splits "GET target" or "GET target version"; a CR at its end is not part of it.
func requestLine(line []byte) (target, version string, ok bool) {
	s := strings.TrimSuffix(string(line), "\r")
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return "", "", false
		}
	}
	fields := strings.Split(s, " ")
	switch len(fields) {
	case 2:
		return fields[1], "", true
	case 3:
		return fields[1], fields[2], fields[2] != ""
	}
	return "", "", false
}

// decideHeaders reads header lines until the block ends. Without a Host line it is a legacy
// probe; HTTP/1.0 is one in any case. Anything odd is the server's to refuse.
func decideHeaders(b []byte, old, eof bool) verdict {
	if len(b) > maxPeek {
		return pass
	}
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			if eof || len(b) > maxPeek {
				return pass
			}
			return more
		}
		if end == 0 || b[end-1] != '\r' {
			return pass
		}
		line := b[:end-1]
		if len(line) == 0 {
			return legacy
		}
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok || !token(name) {
			return pass
		}
		if !old && strings.EqualFold(string(name), "Host") {
			return pass
		}
		b = b[end+1:]
	}
}

// token says whether b is a header name (RFC 9110 5.6.2).
func token(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte(`"(),/:;<=>?@[\]{}`), c) >= 0 {
			return false
		}
	}
	return len(b) > 0
}
