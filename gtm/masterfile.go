package gtm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxEntry bounds one entry of a master file, over all of its lines: the largest record, all
// of it written as \DDD, is a quarter of it.
const maxEntry = 1 << 20

// entryReader parts a master file into entries (RFC 1035 section 5.1): the words of one line,
// or of several that parentheses join, without comments.
type entryReader struct {
	r      *bufio.Reader
	budget *int   // octets that may still be read, of all files of the zone together
	line   int    // number of the line read last
	text   []byte // the entry: comments, parentheses and line ends are blanks
	words  []word
	indent bool // the entry begins with a blank: its owner is that of the entry before
	depth  int  // open parentheses
	opened int  // line of the first of them
}

// word is a part of an entry's text.
type word struct {
	from, to int
	form     wordForm
}

type wordForm uint8

const (
	formPlain  wordForm = iota // as it stands
	formQuoted                 // "..." without escapes; the quotes belong to the word
	formMixed                  // has escapes, or quotes inside
)

var (
	errZoneBytes   = fmt.Errorf("the zone is larger than %d bytes", maxZoneBytes)
	errEntryBytes  = fmt.Errorf("a record is longer than %d bytes", maxEntry)
	errNotClosed   = errors.New("a parenthesis is never closed")
	errNotOpened   = errors.New("a parenthesis is closed that was never opened")
	errQuote       = errors.New("a quote is not closed on its line")
	errLastEscape  = errors.New("a backslash stands at the end of the line")
	errControlByte = errors.New("a NUL octet; is this a text file?")
)

// next reads an entry that has words. It returns io.EOF at the end of the file.
func (e *entryReader) next() error {
	for {
		e.text, e.words, e.indent = e.text[:0], e.words[:0], false
		if err := e.entry(); err != nil {
			return err
		}
		if len(e.words) > 0 {
			return nil
		}
	}
}

// entry reads one line, or what parentheses make of several.
func (e *entryReader) entry() error {
	for {
		from := len(e.text)
		err := e.readLine()
		switch {
		case errors.Is(err, io.EOF) && e.depth > 0:
			e.line = e.opened
			return errNotClosed
		case err != nil:
			return err
		}
		if from == 0 {
			e.indent = e.text[0] == ' ' || e.text[0] == '\t'
		}
		if err := e.split(from); err != nil {
			return err
		}
		if e.depth == 0 {
			return nil
		}
	}
}

// readLine appends a line, its end included, to the text.
func (e *entryReader) readLine() error {
	from := len(e.text)
	for {
		part, err := e.r.ReadSlice('\n')
		if *e.budget -= len(part); *e.budget < 0 {
			e.line++
			return errZoneBytes
		}
		if len(e.text)+len(part) > maxEntry {
			e.line++
			return errEntryBytes
		}
		e.text = append(e.text, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(e.text) > from:
			e.line++
			e.text = append(e.text, '\n') // the last line lacks it
			return nil
		case err != nil:
			return err // io.EOF too
		}
		e.line++
		return nil
	}
}

// split finds the words of the line that begins at from.
func (e *entryReader) split(from int) error {
	for i := from; i < len(e.text); i++ {
		switch e.text[i] {
		case ' ', '\t':
		case '\r', '\n':
			e.text[i] = ' '
		case '(':
			if e.depth == 0 {
				e.opened = e.line
			}
			e.depth++
			e.text[i] = ' '
		case ')':
			if e.depth--; e.depth < 0 {
				return errNotOpened
			}
			e.text[i] = ' '
		case ';':
			e.text = append(e.text[:i], ' ')
		default:
			end, form, err := wordEnd(e.text, i)
			if err != nil {
				return err
			}
			e.words = append(e.words, word{i, end, form})
			i = end - 1
		}
	}
	return nil
}

// wordEnd finds the end of the word that begins at i. Quotes join what they enclose; what
// follows a closing quote at once still belongs to the word, as in alpn="h2".
func wordEnd(text []byte, i int) (int, wordForm, error) {
	start, form, quotes := i, formPlain, 0
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			if form = formMixed; text[i+1] == '\n' || text[i+1] == '\r' {
				return i, form, errLastEscape
			}
			i++
		case c == 0:
			return i, form, errControlByte
		case c == '"':
			if quotes++; quotes%2 == 0 && i+1 < len(text) && text[i+1] == '"' { // "a""b" are two words
				return i + 1, quotedForm(form, text[start], quotes), nil
			}
		case quotes%2 == 1:
			if c == '\n' {
				return i, form, errQuote
			}
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ';' || c == '(' || c == ')':
			return i, quotedForm(form, text[start], quotes), nil
		case quotes > 0:
			form = formMixed
		}
	}
	return i, quotedForm(form, text[start], quotes), nil // unreachable: every line ends
}

// quotedForm is the form of a word that has quotes.
func quotedForm(form wordForm, first byte, quotes int) wordForm {
	switch {
	case quotes == 0 || form == formMixed:
		return form
	case quotes == 2 && first == '"':
		return formQuoted
	}
	return formMixed
}

// word gives the octets of the i-th word.
func (e *entryReader) word(i int) []byte { return e.text[e.words[i].from:e.words[i].to] }

// from gives the text of the entry from its i-th word on, empty when it has fewer.
func (e *entryReader) from(i int) []byte {
	if i >= len(e.words) {
		return nil
	}
	return bytes.TrimRight(e.text[e.words[i].from:], " \t")
}
