package gtm

import (
	"errors"
	"strings"
)

// Limits of RFC 1035 section 2.3.4.
const (
	maxName  = 255
	maxLabel = 63
)

// wireName is a domain name in wire form, lower-cased: length, label, ..., 0. It is the key of
// every table here, because its suffixes at label boundaries are substrings: looking for an
// ancestor neither splits nor allocates, and an escaped dot is no special case.
type wireName string

const rootName = wireName("\x00")

var (
	errEmptyLabel = errors.New("has an empty label")
	errLongLabel  = errors.New("has a label of more than 63 octets")
	errLongName   = errors.New("is longer than 255 octets")
	errEscape     = errors.New("has a broken escape (write \\. or \\DDD)")
	errEmptyName  = errors.New("is empty")
)

// parseName reads a name in presentation form (RFC 1035 section 5.1), with or without the
// final dot; it is always taken as absolute.
func parseName(s string) (wireName, error) {
	if s == "" {
		return "", errEmptyName
	}
	if s == "." {
		return rootName, nil
	}
	out := make([]byte, 1, len(s)+2)
	start := 0 // where the length of the current label stands
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '.':
			if len(out)-start == 1 {
				return "", errEmptyLabel
			}
			out[start] = byte(len(out) - start - 1)
			start = len(out)
			out = append(out, 0)
			continue
		case c == '\\':
			n, b := unescape(s[i+1:])
			if n == 0 {
				return "", errEscape
			}
			i += n
			c = b
		}
		out = append(out, lower(c))
		if len(out)-start-1 > maxLabel {
			return "", errLongLabel
		}
	}
	if len(out)-start > 1 { // no final dot: close the last label
		out[start] = byte(len(out) - start - 1)
		out = append(out, 0)
	}
	if len(out) > maxName {
		return "", errLongName
	}
	return wireName(out), nil
}

// unescape reads what follows a backslash: three digits or one octet. It returns how many
// bytes it took, 0 if they are no escape.
func unescape(s string) (n int, b byte) {
	if s == "" {
		return 0, 0
	}
	if !isDigit(s[0]) {
		return 1, s[0]
	}
	if len(s) < 3 || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0, 0
	}
	v := int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	if v > 255 {
		return 0, 0
	}
	return 3, byte(v)
}

// String gives the presentation form with the final dot.
func (n wireName) String() string {
	if n == rootName || n == "" {
		return "."
	}
	var b strings.Builder
	for i := 0; i < len(n) && n[i] != 0; {
		l := int(n[i])
		for _, c := range []byte(n[i+1 : i+1+l]) {
			writeOctet(&b, c)
		}
		b.WriteByte('.')
		i += 1 + l
	}
	return b.String()
}

// writeOctet writes one octet of a label, escaped where the presentation form needs it.
func writeOctet(b *strings.Builder, c byte) {
	switch {
	case c == '.' || c == '\\' || c == '"' || c == '(' || c == ')' || c == ';' || c == '@' || c == ' ' || c == '\'':
		b.WriteByte('\\')
		b.WriteByte(c)
	case c < '!' || c > '~':
		b.WriteByte('\\')
		b.WriteByte('0' + c/100)
		b.WriteByte('0' + c/10%10)
		b.WriteByte('0' + c%10)
	default:
		b.WriteByte(c)
	}
}

// parent cuts the first label off; the parent of the root is the root.
func (n wireName) parent() wireName {
	if n == rootName || n == "" {
		return rootName
	}
	return n[1+int(n[0]):]
}

// under says whether n is zone or lies below it.
func (n wireName) under(zone wireName) bool {
	for m := n; ; m = m.parent() {
		if m == zone {
			return true
		}
		if m == rootName || len(m) < len(zone) {
			return false
		}
	}
}

// labels counts the labels, without that of the root.
func (n wireName) labels() int {
	count := 0
	for ; n != rootName; n = n.parent() {
		count++
	}
	return count
}

// isWildcard says whether the first label is "*" (RFC 4592).
func (n wireName) isWildcard() bool { return strings.HasPrefix(string(n), "\x01*") }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
