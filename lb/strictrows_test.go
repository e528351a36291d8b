package lb

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// strictRow is one row of testdata/strict; README.txt there says what the words mean.
type strictRow struct {
	file, name, why, deviates, ask string
	bytes                          []byte
	gives                          []string
	has, not                       []string
	last, closes, noInterim        bool
	reuse                          string
}

// where names the row in a failure.
func (r *strictRow) where() string { return r.file + ", " + r.name + " (" + r.why + ")" }

// strictRows reads the files whose names begin with prefix. Every row must be whole: a typing
// error in the table is a failure, not a row that says less.
func strictRows(t testing.TB, prefix string) []strictRow {
	t.Helper()
	files, err := filepath.Glob("testdata/strict/" + prefix + "-*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no table %q: %v", prefix, err)
	}
	var rows []strictRow
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first := len(rows)
		for n, line := range strings.Split(string(text), "\n") {
			if err := readStrictLine(&rows, line); err != nil {
				t.Fatalf("%s:%d: %v", file, n+1, err)
			}
		}
		names := make(map[string]bool)
		for i := first; i < len(rows); i++ {
			r := &rows[i]
			r.file = strings.TrimSuffix(filepath.Base(file), ".txt")
			if names[r.name] || r.why == "" || len(r.gives) == 0 {
				t.Fatalf("%s: row %q is there twice or lacks why or gives", file, r.name)
			}
			names[r.name] = true
		}
	}
	return rows
}

func readStrictLine(rows *[]strictRow, line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	if name, ok := strings.CutPrefix(line, "== "); ok {
		*rows = append(*rows, strictRow{name: name})
		return nil
	}
	if len(*rows) == 0 {
		return fmt.Errorf("%q stands before the first row", line)
	}
	r := &(*rows)[len(*rows)-1]
	if line[0] == '|' {
		return r.readBytes(line)
	}
	word, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch word {
	case "why":
		if !slices.ContainsFunc([]string{"MUST", "SHOULD", "MAY", "ours"}, func(s string) bool { return strings.Contains(value, s) }) {
			return fmt.Errorf("why says neither MUST, SHOULD, MAY nor ours")
		}
		r.why = value
	case "gives":
		r.gives = append(r.gives, value)
	case "deviates":
		r.deviates = value
	case "ask":
		r.ask = value
	case "reuse":
		r.reuse = value
	case "last":
		r.last = true
	case "closes":
		r.closes = true
	case "no interim":
		r.noInterim = true
	case "has":
		v, _, err := unescapeRow(value)
		r.has = append(r.has, string(v))
		return err
	case "not":
		r.not = append(r.not, value)
	default:
		return fmt.Errorf("unknown word %q", word)
	}
	return nil
}

func (r *strictRow) readBytes(line string) error {
	text, end := line[1:], "\r\n"
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		text, end = rest, ""
	}
	text = strings.TrimPrefix(text, " ")
	b, rest, err := unescapeRow(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q is left over", rest)
	}
	r.bytes = append(append(r.bytes, b...), end...)
	return err
}

// unescapeRow reads text up to its end, or up to the "*" that ends a repeated part.
func unescapeRow(s string) (out []byte, rest string, err error) {
	for len(s) > 0 {
		if s[0] != '\\' || len(s) < 2 {
			out, s = append(out, s[0]), s[1:]
			continue
		}
		var more []byte
		switch s[1] {
		case '{':
			more, s, err = repeatRow(s[2:])
		case 'x':
			if len(s) < 4 {
				return nil, "", fmt.Errorf("half an escape in %q", s)
			}
			var n uint64
			n, err = strconv.ParseUint(s[2:4], 16, 8)
			more, s = []byte{byte(n)}, s[4:]
		default:
			i := strings.IndexByte("rnt0\\", s[1])
			if i < 0 {
				return nil, "", fmt.Errorf("unknown escape in %q", s)
			}
			more, s = []byte{"\r\n\t\x00\\"[i]}, s[2:]
		}
		if err != nil {
			return nil, "", err
		}
		out = append(out, more...)
	}
	return out, s, nil
}

// repeatRow reads "text*n}".
func repeatRow(s string) (out []byte, rest string, err error) {
	depth, end := 1, 0
	for ; end < len(s) && depth > 0; end++ {
		switch {
		case strings.HasPrefix(s[end:], "\\{"):
			depth++
		case s[end] == '}':
			depth--
		}
	}
	body := s[:max(end-1, 0)]
	star := strings.LastIndexByte(body, '*')
	if depth > 0 || star < 0 {
		return nil, "", fmt.Errorf("a repeated part has no end in %q", s)
	}
	n, err := strconv.Atoi(body[star+1:])
	if err != nil {
		return nil, "", err
	}
	one, _, err := unescapeRow(body[:star])
	return bytes.Repeat(one, n), s[end:], err
}

func TestStrictRowsReader(t *testing.T) {
	var rows []strictRow
	for _, line := range []string{"== a", "why: RFC 1 MUST", `| \r\n\t\0\\\xff`, `|- \{x\{y*2}*2}z`, `|`, "gives: 400", "closes", "has: A: \\x20"} {
		if err := readStrictLine(&rows, line); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := string(rows[0].bytes), "\r\n\t\x00\\\xff\r\nxyyxyyz\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r := rows[0]; r.name != "a" || !r.closes || r.gives[0] != "400" || r.has[0] != "A:  " {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"what: x", "why: because", `| \q`, `| \x1`, `| \{a*`, `| \{a}`} {
		if err := readStrictLine(&rows, bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestStrictDeviations: deviations.txt tells of every row that deviates, and of no other.
func TestStrictDeviations(t *testing.T) {
	text, err := os.ReadFile("testdata/strict/deviations.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, r := range append(strictRows(t, "request"), strictRows(t, "answer")...) {
		if line := "\n- " + r.file + ", " + r.name + "\n"; strings.Contains(string(text), line) != (r.deviates != "") {
			t.Errorf("deviations.txt and the row differ: %s", r.where())
		}
		if r.deviates != "" {
			count++
		}
	}
	if got := strings.Count(string(text), "\n- "); got != count {
		t.Errorf("deviations.txt has %d lines, the table %d", got, count)
	}
}
