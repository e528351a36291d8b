package gtm

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

var errQuotedName = errors.New("is quoted, which a name cannot be")

// head reads TTL, class and type of a record from its at-th word on, and says where its data
// begin.
func (s *source) head(at int) (dns.RR_Header, int, error) {
	h := dns.RR_Header{Class: classIN}
	haveTTL, haveClass := false, false
	for ; at < len(s.words); at++ {
		w := s.word(at)
		if !haveTTL && isDigit(w[0]) {
			ttl, ok := parseTTL(w)
			if !ok {
				return h, at, fmt.Errorf("bad TTL %q", w)
			}
			h.Ttl, haveTTL = ttl, true
			continue
		}
		typ, ok := dns.StringToType[string(w)] // in capitals, most often
		if !ok || typ == typeANY {             // ANY is a class as well
			if class, isClass := parseClass(w); isClass && !haveClass {
				h.Class, haveClass = class, true
				continue
			}
			typ, ok = parseType(w)
		}
		if !ok {
			return h, at, fmt.Errorf("no TTL, class or type: %q", w)
		}
		h.Rrtype = typ
		return h, at + 1, s.ttl.apply(&h, haveTTL)
	}
	return h, at, errors.New("the record has no type")
}

// apply gives the record the TTL that it does not state, or remembers the one that it does.
func (t *ttlSource) apply(h *dns.RR_Header, stated bool) error {
	switch {
	case stated && !t.directive:
		t.ttl, t.known = h.Ttl, true
	case !stated && !t.known:
		return errors.New("the record has no TTL; write $TTL 300, say, above it")
	case !stated:
		h.Ttl = t.ttl
	}
	return nil
}

// parseTTL reads seconds, or numbers with the units s, m, h, d and w as BIND has them. Values
// above 31 bits are refused: RFC 2181 section 8 makes them 0.
func parseTTL(w []byte) (uint32, bool) {
	total, n, digits := uint64(0), uint64(0), false
	for _, c := range w {
		unit := uint64(0)
		switch lower(c) {
		case 's':
			unit = 1
		case 'm':
			unit = 60
		case 'h':
			unit = 3600
		case 'd':
			unit = 86400
		case 'w':
			unit = 604800
		default:
			if !isDigit(c) {
				return 0, false
			}
			n, digits = n*10+uint64(c-'0'), true
		}
		if unit > 0 {
			if !digits {
				return 0, false
			}
			total, n, digits = total+n*unit, 0, false
		}
		if n > math.MaxInt32 || total > math.MaxInt32 {
			return 0, false
		}
	}
	total += n
	return uint32(total), len(w) > 0 && total <= math.MaxInt32
}

func parseClass(w []byte) (uint16, bool) {
	if len(w) == 2 && lower(w[0]) == 'i' && lower(w[1]) == 'n' {
		return classIN, true
	}
	if class, ok := dns.StringToClass[strings.ToUpper(string(w))]; ok {
		return class, true
	}
	return numbered(w, "CLASS")
}

func parseType(w []byte) (uint16, bool) {
	if typ, ok := dns.StringToType[strings.ToUpper(string(w))]; ok {
		return typ, true
	}
	return numbered(w, "TYPE")
}

// numbered reads TYPE123 or CLASS123 (RFC 3597 section 5).
func numbered(w []byte, prefix string) (uint16, bool) {
	if len(w) <= len(prefix) || !strings.EqualFold(string(w[:len(prefix)]), prefix) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(w[len(prefix):]), 10, 16)
	return uint16(n), err == nil
}

// absolute reads a name.
func (s *source) absolute(w word) (wireName, error) {
	var buf [maxName]byte
	n, err := s.wire(buf[:0], w)
	if err != nil {
		return "", fmt.Errorf("the name %s %w", s.text[w.from:w.to], err)
	}
	return wireName(n), nil
}

// wire appends a name in wire form, lower-cased: "@" is the origin, and a name without a final
// dot continues with it.
func (s *source) wire(out []byte, w word) ([]byte, error) {
	text := s.text[w.from:w.to]
	if w.form != formPlain {
		return s.wireEscaped(out, text)
	}
	if len(text) == 1 && text[0] == '@' {
		return append(out, s.origin...), nil
	}
	if len(text) == 1 && text[0] == '.' {
		return append(out, 0), nil
	}
	at := len(out) // of the length of the current label
	out = append(out, 0)
	for _, c := range text {
		if c != '.' {
			out = append(out, lower(c))
			continue
		}
		if err := closeLabel(out, at); err != nil {
			return nil, err
		}
		at = len(out)
		out = append(out, 0)
	}
	if text[len(text)-1] != '.' {
		if err := closeLabel(out, at); err != nil {
			return nil, err
		}
		out = append(out, s.origin...)
	}
	if len(out) > maxName {
		return nil, errLongName
	}
	return out, nil
}

// closeLabel writes the length of the label that begins at, and ends with, out.
func closeLabel(out []byte, at int) error {
	n := len(out) - at - 1
	switch {
	case n == 0:
		return errEmptyLabel
	case n > maxLabel:
		return errLongLabel
	}
	out[at] = byte(n)
	return nil
}

// wireEscaped is wire for a name with escapes.
func (s *source) wireEscaped(out, text []byte) ([]byte, error) {
	if hasQuote(text) {
		return nil, errQuotedName
	}
	name, err := parseName(string(text))
	if err != nil {
		return nil, err
	}
	if isAbsolute(text) {
		return append(out, name...), nil
	}
	if len(name)-1+len(s.origin) > maxName {
		return nil, errLongName
	}
	return append(append(out, name[:len(name)-1]...), s.origin...), nil
}

// hasQuote says whether a quote stands in the text that is not escaped.
func hasQuote(text []byte) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return true
		}
	}
	return false
}

// isAbsolute says whether a name ends with a dot that is not escaped.
func isAbsolute(text []byte) bool {
	if len(text) == 0 || text[len(text)-1] != '.' {
		return false
	}
	before := text[:len(text)-1]
	escapes := len(before) - len(bytes.TrimRight(before, `\`))
	return escapes%2 == 0
}
