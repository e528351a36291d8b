package gtm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/miekg/dns"
)

// Bounds of $INCLUDE: nesting, and files of one zone.
const (
	maxIncludeDepth = 8
	maxIncludes     = 1000
)

// masterReader reads the records of a master file and of what it includes.
type masterReader struct {
	origin   wireName // of the zone
	includes fs.FS    // where $INCLUDE finds files; nil refuses it
	emit     func(owner wireName, rr dns.RR) error

	budget    int // octets that may still be read, or be made by $GENERATE
	included  int // files so far
	generated int // records made by $GENERATE so far
	build     recordBuilder
}

// source is one file under way.
type source struct {
	entryReader
	name   string // in errors
	path   string // among includes
	nested int    // $INCLUDEs above it
	inside bool   // it is an entry that $GENERATE made, which holds no directives

	origin     wireName
	originText string
	owner      wireName // of the record before
	ownerText  string
	ownerWord  []byte // as written; empty when the origin has changed since
	ttl        ttlSource
}

// ttlSource is the TTL of records that state none: that of $TTL (RFC 2308 section 4), before
// the first of these that of the record before (RFC 1035 section 5.1).
type ttlSource struct {
	ttl       uint32
	known     bool
	directive bool
}

// faultAt says where in which file something is wrong.
type faultAt struct {
	file string
	line int
	err  error
}

func (f *faultAt) Error() string { return fmt.Sprintf("%s:%d: %v", f.file, f.line, f.err) }
func (f *faultAt) Unwrap() error { return f.err }

// read reads a whole file. Its errors are of type faultAt.
func (m *masterReader) read(r io.Reader, file, path string) error {
	return m.file(&source{
		entryReader: entryReader{r: bufio.NewReaderSize(r, 1<<16), budget: &m.budget},
		name:        file, path: path, origin: m.origin, originText: m.origin.String(),
	})
}

func (m *masterReader) file(s *source) error {
	for {
		err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = m.entry(s)
		}
		if err != nil {
			return s.at(err)
		}
	}
}

// at adds the place to an error that has none; one in an included file has.
func (s *source) at(err error) error {
	var deeper *faultAt
	if errors.As(err, &deeper) {
		return err
	}
	return &faultAt{s.name, max(s.line, 1), err} // line 0: nothing could be read
}

// entry takes one entry: a directive or a record.
func (m *masterReader) entry(s *source) error {
	first := s.word(0)
	if s.indent || first[0] != '$' {
		return m.record(s)
	}
	if s.inside {
		return fmt.Errorf("$GENERATE makes the directive %s, only records are possible", first)
	}
	switch strings.ToUpper(string(first)) {
	case "$TTL":
		return s.directiveTTL()
	case "$ORIGIN":
		if len(s.words) != 2 {
			return errors.New("$ORIGIN needs one name")
		}
		return s.setOrigin(s.words[1])
	case "$INCLUDE":
		return m.include(s)
	case "$GENERATE":
		return m.generate(s)
	}
	return fmt.Errorf("unknown directive %s (an owner name that begins with $ is written \\$)", first)
}

func (s *source) directiveTTL() error {
	if len(s.words) != 2 {
		return errors.New("$TTL needs one number of seconds")
	}
	ttl, ok := parseTTL(s.word(1))
	if !ok {
		return fmt.Errorf("bad TTL %q", s.word(1))
	}
	s.ttl = ttlSource{ttl: ttl, known: true, directive: true}
	return nil
}

func (s *source) setOrigin(w word) error {
	name, err := s.absolute(w)
	if err != nil {
		return err
	}
	s.origin, s.originText, s.ownerWord = name, name.String(), s.ownerWord[:0]
	return nil
}

// include reads another file, with an origin of its own if one is stated. It does not change
// the origin of the file that includes it (RFC 1035 section 5.1), but a $TTL in it holds for
// all that follows (RFC 2308 section 4), as BIND and PowerDNS have it.
func (m *masterReader) include(s *source) error {
	switch {
	case m.includes == nil:
		return errors.New("$INCLUDE directive not allowed")
	case len(s.words) != 2 && len(s.words) != 3:
		return errors.New("$INCLUDE needs a file and, if need be, an origin")
	case s.nested >= maxIncludeDepth:
		return fmt.Errorf("$INCLUDE is nested more than %d deep", maxIncludeDepth)
	case m.included >= maxIncludes:
		return fmt.Errorf("the zone includes more than %d files", maxIncludes)
	}
	m.included++
	file := strings.Trim(string(s.word(1)), `"`)
	at := path.Join(path.Dir(s.path), file)
	if path.IsAbs(file) {
		at = file // which includes refuses
	}
	f, err := m.includes.Open(at)
	if err != nil {
		return fmt.Errorf("$INCLUDE reaches only the folder of the zone file: %w", err)
	}
	defer f.Close()
	sub := &source{
		entryReader: entryReader{r: bufio.NewReader(f), budget: &m.budget},
		name:        path.Join(path.Dir(s.name), file), path: at, nested: s.nested + 1,
		origin: s.origin, originText: s.originText, ttl: s.ttl,
	}
	if len(s.words) == 3 {
		if sub.origin, err = s.absolute(s.words[2]); err != nil {
			return err
		}
		sub.originText = sub.origin.String()
	}
	err = m.file(sub)
	s.ttl = sub.ttl
	return err
}

// generate makes the entries of a $GENERATE line.
func (m *masterReader) generate(s *source) error {
	if len(s.words) < 4 {
		return errors.New("$GENERATE needs a range, an owner, a type and data")
	}
	n, step, steps, err := generateRange(string(s.word(1)))
	if err != nil {
		return err
	}
	if m.generated += steps; m.generated > maxGenerateAll {
		return fmt.Errorf("$GENERATE makes more than %d records in this zone", maxGenerateAll)
	}
	template := bytes.Clone(s.from(2))
	one := &source{name: s.name, inside: true, origin: s.origin, originText: s.originText, ttl: s.ttl}
	var text bytes.Buffer
	for range steps {
		text.Reset()
		if err := expand(&text, template, n); err != nil {
			return err
		}
		text.WriteByte('\n')
		if m.budget -= text.Len(); m.budget < 0 {
			return errZoneBytes
		}
		one.text, one.words, one.depth = append(one.text[:0], text.Bytes()...), one.words[:0], 0
		if err := one.split(0); err != nil {
			return err
		}
		if err := m.entry(one); err != nil {
			return err
		}
		n += step
	}
	return nil
}

// record takes one record: [owner] [TTL] [class] type data, TTL and class in either order.
func (m *masterReader) record(s *source) error {
	at := 0
	if !s.indent {
		if err := m.owner(s, s.words[0]); err != nil {
			return err
		}
		at++
	} else if s.owner == "" {
		return errors.New("the first record has no owner name")
	}
	h, at, err := s.head(at)
	if err != nil {
		return err
	}
	h.Name = s.ownerText
	rr, err := m.build.record(s, h, at)
	if err != nil {
		return err
	}
	return m.emit(s.owner, rr)
}

// owner makes the owner of the record the current one.
func (m *masterReader) owner(s *source, w word) error {
	text := s.text[w.from:w.to]
	if bytes.Equal(text, s.ownerWord) {
		return nil // as in the record before
	}
	var buf [maxName]byte
	n, err := s.wire(buf[:0], w)
	if err != nil {
		return fmt.Errorf("the owner name %s %w", text, err)
	}
	s.owner, s.ownerText = wireName(m.build.text.bytes(n)), m.build.presentation(s, w)
	s.ownerWord = append(s.ownerWord[:0], text...)
	return nil
}
