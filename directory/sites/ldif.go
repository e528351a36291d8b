package sites

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// ReadLDIF makes a Set of an export in LDIF (RFC 2849) of the Configuration partition, as ldifde,
// ldapsearch and ldbsearch write it. Objects of other kinds are passed over; records that change or
// delete are an error, because they are no export; an export that its own tool calls incomplete is
// an error, too.
func ReadLDIF(r io.Reader) (*Set, error) {
	return readLDIF("LDIF", r, time.Now())
}

func readLDIF(source string, r io.Reader, now time.Time) (*Set, error) {
	text, err := readText(r)
	if err != nil {
		return nil, err
	}
	entries, problems, err := parseLDIF(text)
	if err != nil {
		return nil, err
	}
	return newSet(source, now, entries, problems)
}

// ldifLine is a line with its continuations put back, and where it began.
type ldifLine struct {
	number int
	text   string
}

// parseLDIF gives the objects of the kinds that matter.
func parseLDIF(text []byte) ([]entry, []Problem, error) {
	var p ldifParser
	err := unfold(text, p.line)
	if err == nil {
		err = p.end()
	}
	return p.entries, p.problems, err
}

// unfold gives every line of the file, an empty one at the end of a record. A line that begins with
// a space continues the one before it, also a comment.
func unfold(text []byte, give func(ldifLine) error) error {
	var line []byte
	number, began := 0, 0
	for raw := range bytes.Lines(text) {
		number++
		raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
		if len(raw) > 0 && raw[0] == ' ' {
			if len(line) == 0 {
				return fmt.Errorf("line %d: it continues no line", number)
			}
			line = append(line, raw[1:]...)
			continue
		}
		if began > 0 {
			if err := give(ldifLine{began, string(line)}); err != nil {
				return err
			}
		}
		began, line = number, append(line[:0], raw...)
	}
	if began == 0 {
		return nil
	}
	return give(ldifLine{began, string(line)})
}

// ldifParser collects the record under way.
type ldifParser struct {
	entries  []entry
	problems []Problem

	current entry
	began   int  // line of its dn; 0 between records
	note    bool // the record is a tool's own: "search: 2", "ref: ldap://..."
	comment bool // the line before was one
}

func (p *ldifParser) line(l ldifLine) error {
	after := p.comment
	p.comment = strings.HasPrefix(l.text, "#")
	switch {
	case l.text == "":
		return p.end()
	case p.comment:
		return nil
	case after && (strings.HasPrefix(l.text, "CNF:") || strings.HasPrefix(l.text, "DEL:")):
		// ldapsearch repeats the name in a comment before the record, and that of a conflict object
		// has a line feed in it.
		return nil
	}
	name, rest, ok := strings.Cut(l.text, ":")
	if !ok {
		return fmt.Errorf("line %d: %s is no \"name: value\"", l.number, quote(l.text))
	}
	value, err := ldifValue(rest)
	if err != nil {
		return fmt.Errorf("line %d, %s: %w", l.number, quote(name), err)
	}
	switch {
	case p.note:
		return p.remark(l.number, fold(name), value)
	case p.began > 0:
		return p.attribute(l.number, name, value)
	}
	switch fold(name) {
	case "version":
		if value != "1" {
			return fmt.Errorf("line %d: version %s of LDIF is not known", l.number, quote(value))
		}
	case "dn":
		p.began, p.current = l.number, entry{dn: value, attrs: make(map[string][]string)}
	case "search", "ref", "result":
		p.note = true
		return p.remark(l.number, fold(name), value)
	default:
		return fmt.Errorf("line %d: a record begins with \"dn:\", not with %s", l.number, quote(name))
	}
	return nil
}

// ldifValue reads what follows the first colon of a line.
func ldifValue(rest string) (string, error) {
	switch {
	case strings.HasPrefix(rest, ":"):
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest[1:]))
		if err != nil {
			return "", fmt.Errorf("the value is no base64: %w", err)
		}
		return string(b), nil
	case strings.HasPrefix(rest, "<"):
		return "", fmt.Errorf("the value stands in another file: export it in place")
	}
	return strings.TrimLeft(rest, " "), nil
}

func (p *ldifParser) attribute(number int, name, value string) error {
	switch fold(name) {
	case "changetype":
		// ldifde writes its exports as records to be added.
		if fold(value) != "add" {
			return fmt.Errorf("line %d: the record is of type %s: an export has none or \"add\"", number, quote(value))
		}
		return nil
	case "control":
		return fmt.Errorf("line %d: a record with a control is no export", number)
	}
	attr, ranged, ok := wantedName(name)
	switch {
	case !ok:
		return nil
	case !utf8.ValidString(value):
		return fmt.Errorf("line %d: the value of %s is no text", number, attr)
	}
	if ranged != "" && !strings.HasSuffix(ranged, "*") && len(p.current.attrs[attr]) == 0 {
		p.problems = append(p.problems, Problem{
			Object: printable(p.current.dn), What: fmt.Sprintf("the export has only some values of %s (%s)", attr, printable(ranged)),
		})
	}
	p.current.attrs[attr] = append(p.current.attrs[attr], value)
	return nil
}

// remark reads the line that ldapsearch ends with: "result: 4 Size limit exceeded".
func (p *ldifParser) remark(number int, name, value string) error {
	if code, _, _ := strings.Cut(value, " "); name == "result" && code != "0" {
		return fmt.Errorf("line %d: the export is not complete, its tool says: result %s", number, quote(value))
	}
	return nil
}

// end closes a record.
func (p *ldifParser) end() error {
	began, e := p.began, p.current
	p.began, p.current, p.note = 0, entry{}, false
	if began == 0 || !e.matters() {
		return nil
	}
	if len(p.entries) == maxEntries {
		return fmt.Errorf("line %d: more than %d sites, subnets and links", began, maxEntries)
	}
	p.entries = append(p.entries, e)
	return nil
}

// classes are the kinds of objects that a Set is made of.
var classes = [...]string{"site", "subnet", "siteLink", "siteLinkBridge", "interSiteTransport"}

func (e entry) matters() bool {
	for _, c := range classes {
		if e.is(c) {
			return true
		}
	}
	return false
}
