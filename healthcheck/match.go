package healthcheck

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// regexPrefix marks a Receive value as a regular expression.
const regexPrefix = "regex:"

// matcher is a compiled Receive: what an answer must contain. The zero value accepts anything.
type matcher struct {
	text []byte
	re   *regexp.Regexp
	name string // quoted, for reasons
}

func newMatcher(receive string) (matcher, error) {
	expr, isRegex := strings.CutPrefix(receive, regexPrefix)
	if !isRegex {
		return matcher{text: []byte(receive), name: fmt.Sprintf("%q", receive)}, nil
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return matcher{}, fmt.Errorf("the regular expression %q is wrong: %w", expr, err)
	}
	return matcher{re: re, name: "/" + expr + "/"}, nil
}

// any says that every answer is accepted.
func (m matcher) any() bool { return m.re == nil && len(m.text) == 0 }

// in says whether b contains what is wanted.
func (m matcher) in(b []byte) bool {
	if m.re != nil {
		return m.re.Match(b)
	}
	return bytes.Contains(b, m.text)
}

// scan looks for a match in a stream that grows read by read, without looking at every byte
// again each time: a target that sends one byte per packet must not cost a scan of all for each.
type scan struct {
	m    matcher
	seen int // how much of the stream was looked at
}

// more looks at the stream b, of which a part was seen before. A regular expression is tried
// again only when the stream grew by an eighth; last forces it.
func (s *scan) more(b []byte, last bool) bool {
	from := 0
	if s.m.re == nil {
		from = max(0, s.seen-len(s.m.text)+1)
	} else if !last && s.seen > 64 && len(b) < s.seen+s.seen/8 {
		return false
	}
	s.seen = len(b)
	return s.m.in(b[from:])
}
