package configs

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"switchpoint/healthcheck"
)

// Effective writes all values of c with their origin, "file:line" or "default", in the form of
// a configuration file; values that are not set stand in comments. Secrets appear as the
// references that they are in the file, and header values that carry credentials not at all.
func Effective(w io.Writer, c *Config) error {
	p := printer{file: c.File, lines: c.lines}
	p.section("", "", reflect.ValueOf(c.withDefaults()).Elem())
	if _, err := w.Write(bytes.TrimLeft(p.out.Bytes(), "\n")); err != nil {
		return fmt.Errorf("write the effective configuration: %w", err)
	}
	return nil
}

// withDefaults returns a copy of c in which the rooms have filled their defaults.
func (c *Config) withDefaults() *Config {
	full := *c
	full.Health = c.Health.WithDefaults()
	full.Monitors = make([]healthcheck.Monitor, len(c.Monitors))
	for i, m := range c.Monitors {
		full.Monitors[i] = m.WithDefaults()
	}
	if c.GTM != nil {
		room := c.GTM.WithDefaults()
		full.GTM = &room
	}
	if c.LB != nil {
		room := c.LB.WithDefaults()
		full.LB = &room
	}
	if c.Broker != nil {
		room := c.Broker.WithDefaults()
		full.Broker = &room
	}
	return &full
}

type printer struct {
	out   bytes.Buffer
	file  string
	lines *index
}

// section writes the values of the table at path, then the tables below it. header is what
// stands between brackets, which has no list positions.
func (p *printer) section(path, header string, table reflect.Value) {
	fields := fieldsOf(table.Type())
	for _, f := range fields {
		if !isTable(f.typ) {
			p.value(joinKey(path, f.name), f.name, table.FieldByIndex(f.index))
		}
	}
	for _, f := range fields {
		if !isTable(f.typ) {
			continue
		}
		at, name, v := joinKey(path, f.name), joinKey(header, f.name), table.FieldByIndex(f.index)
		switch v.Kind() {
		case reflect.Slice:
			for i := range v.Len() {
				fmt.Fprintf(&p.out, "\n[[%s]]\n", name)
				p.section(element(at, i), name, v.Index(i))
			}
		case reflect.Pointer:
			if !v.IsNil() {
				fmt.Fprintf(&p.out, "\n[%s]\n", name)
				p.section(at, name, v.Elem())
			}
		default:
			fmt.Fprintf(&p.out, "\n[%s]\n", name)
			p.section(at, name, v)
		}
	}
}

// value writes one line for the key at path.
func (p *printer) value(path, key string, v reflect.Value) {
	empty := v.Kind() != reflect.Bool && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0)
	if empty && !p.lines.has(path) {
		fmt.Fprintf(&p.out, "# %s is not set\n", key)
		return
	}
	origin := "default"
	if p.lines.has(path) {
		origin = fmt.Sprintf("%s:%d", p.file, p.lines.line(path))
	}
	fmt.Fprintf(&p.out, "%-50s # %s\n", key+" = "+format(v), origin)
}

// format writes a value as TOML.
func format(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		return format(v.Elem())
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = format(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.String:
		return quote(hideCredentials(v.String()))
	}
	if span, ok := v.Interface().(time.Duration); ok {
		return quote(shortDuration(span))
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration is span without zero parts at its end: "5m", not "5m0s".
func shortDuration(span time.Duration) string {
	s := span.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// quote writes a TOML basic string, which knows fewer escapes than Go.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case !strconv.IsPrint(r):
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// credentials finds header lines, in a monitor's headers or its raw request, whose value lets
// somebody in.
var credentials = regexp.MustCompile(`(?im)^((?:proxy-)?authorization|cookie|[a-z0-9-]*(?:token|api-?key|secret|password)[a-z0-9-]*)[ \t]*:.*$`)

func hideCredentials(s string) string {
	return credentials.ReplaceAllString(s, "$1: (hidden)")
}

// isTable says whether a field stands as a section of its own.
func isTable(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}
