package configs

import (
	"strconv"
	"strings"
)

// Bounds of one path. The TOML parser recurses per level and copies the whole path for each
// key, so text beyond them is refused before it is parsed. Real paths have less than 10 levels
// and 100 bytes.
const (
	maxNesting = 32
	maxPath    = 512
)

// index says on which line each path of a TOML text stands. Paths are those of
// problem.Problem: "gtm.name[0].pool[1].members[2].address".
type index struct {
	at map[string]int
	// tooDeep is the line where a path goes beyond the bounds; 0 where none does.
	tooDeep int
}

// line is where path stands, or the nearest table or list around it; 1 where there is none.
func (x *index) line(path string) int {
	for path != "" {
		if n, ok := x.at[path]; ok {
			return n
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return 1
}

// has says whether path itself stands in the text.
func (x *index) has(path string) bool {
	_, ok := x.at[path]
	return ok
}

// indexLines reads the places of all keys, tables and list elements. It follows the structure
// of TOML and no more: on text that is no valid TOML it ends early or says something useless,
// which does not matter since the parser then reports the place by itself. It never panics and
// reads each byte once.
func indexLines(text string) *index {
	s := &scanner{
		text:     trimMark(text),
		lineNo:   1,
		index:    &index{at: map[string]int{}},
		implied:  map[string]bool{},
		elements: map[string]int{},
	}
	for s.pos < len(s.text) && s.index.tooDeep == 0 {
		s.skip(" \t\r\n")
		switch s.peek() {
		case 0:
		case '[':
			s.header()
		case '#':
		default:
			s.keyValue(s.table, s.depth)
		}
		s.restOfLine()
	}
	return s.index
}

// trimMark cuts the byte order mark that the parser skips too.
func trimMark(text string) string {
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "\ufeff"} {
		if after, found := strings.CutPrefix(text, mark); found {
			return after
		}
	}
	return text
}

// scanner walks over TOML text. All methods stop at the end of the text.
type scanner struct {
	text   string
	pos    int
	lineNo int
	index  *index

	table string // path of the table that plain keys belong to
	depth int    // nesting of that table

	implied  map[string]bool // tables known only from a header below them
	elements map[string]int  // list of tables by its path without position -> length so far
}

// header reads [a.b] or [[a.b]]. A part that names a list of tables means its last element.
func (s *scanner) header() {
	line := s.lineNo
	s.next()
	list := s.peek() == '['
	if list {
		s.next()
	}
	parts := s.key("]")
	s.depth = len(parts)
	if s.deep(s.depth, line) {
		return
	}
	path := ""
	for i, part := range parts {
		path = joinKey(path, part)
		last := i == len(parts)-1
		switch {
		case last && list:
			s.mark(path, line)
			n := s.elements[path]
			s.elements[path] = n + 1
			path = element(path, n)
			s.mark(path, line)
		case s.elements[path] > 0:
			path = element(path, s.elements[path]-1)
		case last:
			if s.implied[path] {
				delete(s.implied, path)
				s.index.at[path] = line
			}
			s.mark(path, line)
		case !s.index.has(path):
			s.implied[path] = true
			s.mark(path, line)
		}
	}
	s.table = path
}

// keyValue reads `a.b = value` into the table at path.
func (s *scanner) keyValue(path string, depth int) {
	line := s.lineNo
	for _, part := range s.key("=") {
		path = joinKey(path, part)
		depth++
		s.mark(path, line)
	}
	if s.deep(depth, line) || s.peek() != '=' {
		return
	}
	s.next()
	s.skip(" \t")
	s.value(path, depth)
}

// value reads one value that stands at path.
func (s *scanner) value(path string, depth int) {
	if s.deep(depth, s.lineNo) {
		return
	}
	switch s.peek() {
	case '"', '\'':
		s.str()
	case '[':
		s.next()
		for i := 0; s.item(']'); i++ {
			at := element(path, i)
			s.mark(at, s.lineNo)
			s.value(at, depth+1)
		}
	case '{':
		s.next()
		for s.item('}') {
			s.keyValue(path, depth)
		}
	default:
		for s.pos < len(s.text) && !strings.ContainsRune(",]}#\n", rune(s.peek())) {
			s.next()
		}
	}
}

// item moves to the next item of a list or inline table and says whether there is one. It
// always moves on, so that broken text cannot hold it at one place.
func (s *scanner) item(end byte) bool {
	for s.index.tooDeep == 0 {
		s.skip(" \t\r\n,")
		switch s.peek() {
		case 0:
			return false
		case '#':
			s.restOfLine()
		case end:
			s.next()
			return false
		case ']', '}', '=':
			s.next()
		default:
			return true
		}
	}
	return false
}

// key reads a dotted key up to one of the bytes of end and gives its parts.
func (s *scanner) key(end string) []string {
	var parts []string
	for len(parts) <= maxNesting {
		s.skip(" \t")
		from := s.pos
		if c := s.peek(); c == '"' || c == '\'' {
			s.str()
			parts = append(parts, unquote(s.text[from:s.pos]))
		} else {
			for s.pos < len(s.text) && !strings.ContainsRune(" \t\r\n.#,=[]{}\"'", rune(s.peek())) {
				s.next()
			}
			parts = append(parts, s.text[from:s.pos])
		}
		s.skip(" \t")
		if s.peek() != '.' {
			break
		}
		s.next()
	}
	if s.pos < len(s.text) && !strings.ContainsRune(end, rune(s.peek())) && s.peek() != '\n' {
		s.next() // not a key: make way for what follows
	}
	return parts
}

// str reads a string of any of the four forms.
func (s *scanner) str() {
	quote := s.text[s.pos : s.pos+1]
	if long := strings.Repeat(quote, 3); strings.HasPrefix(s.text[s.pos:], long) {
		s.advance(3)
		for s.pos < len(s.text) && !strings.HasPrefix(s.text[s.pos:], long) {
			s.char(quote)
		}
		s.advance(3)
		for range 2 { // up to two quotes may stand directly before the closing three
			if s.peek() == quote[0] {
				s.next()
			}
		}
		return
	}
	s.next()
	for s.pos < len(s.text) && s.peek() != quote[0] && s.peek() != '\n' {
		s.char(quote)
	}
	if s.peek() == quote[0] {
		s.next()
	}
}

// char reads one character of a string, with the escape sign where the form has one.
func (s *scanner) char(quote string) {
	if quote == `"` && s.peek() == '\\' {
		s.next()
	}
	s.next()
}

// mark notes the place of path, unless it has one already.
func (s *scanner) mark(path string, line int) {
	if len(path) > maxPath {
		s.deep(maxNesting+1, line)
		return
	}
	if !s.index.has(path) {
		s.index.at[path] = line
	}
}

// deep notes nesting beyond the limit, and says so.
func (s *scanner) deep(depth, line int) bool {
	if depth > maxNesting && s.index.tooDeep == 0 {
		s.index.tooDeep = line
	}
	return s.index.tooDeep != 0
}

// peek is the byte at hand, 0 at the end of the text.
func (s *scanner) peek() byte {
	if s.pos >= len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) next() {
	if s.pos >= len(s.text) {
		return
	}
	if s.text[s.pos] == '\n' {
		s.lineNo++
	}
	s.pos++
}

func (s *scanner) advance(n int) {
	for range n {
		s.next()
	}
}

func (s *scanner) skip(set string) {
	for s.pos < len(s.text) && strings.IndexByte(set, s.text[s.pos]) >= 0 {
		s.next()
	}
}

func (s *scanner) restOfLine() {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		s.next()
	}
}

// unquote gives the text of a quoted key. What it cannot read stands for itself.
func unquote(quoted string) string {
	if n := len(quoted); n > 2 && !strings.Contains(quoted, `\`) && quoted[1] != quoted[0] {
		return quoted[1 : n-1]
	}
	values, err := decodeTOML("K = " + quoted)
	if key, ok := values["K"].(string); ok && err == nil {
		return key
	}
	return quoted
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// joinKey adds one key to a path, in quotes where it is no plain word.
func joinKey(path, key string) string {
	if !isBare(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func isBare(key string) bool {
	for _, r := range key {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return false
		}
	}
	return key != ""
}
