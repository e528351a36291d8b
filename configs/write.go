package configs

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"switchpoint/broker"
)

// WriteSetup writes a setup as a broker.toml: ParseSetup makes the same setup of it. What is not set
// is left out; paths are those of the setup, which are absolute.
func WriteSetup(s broker.Setup) ([]byte, error) {
	var w setupWriter
	if err := w.table("", reflect.ValueOf(s)); err != nil {
		return nil, err
	}
	return []byte(strings.TrimPrefix(w.String(), "\n")), nil
}

// setupWriter writes structs as TOML, their fields in the order of their declaration.
type setupWriter struct{ strings.Builder }

// table writes the values of a struct, and then the tables below it; path is its own name.
func (w *setupWriter) table(path string, v reflect.Value) error {
	var below []func() error
	if err := w.fields(path, v, &below); err != nil {
		return err
	}
	for _, write := range below {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// fields writes the values and collects the tables.
func (w *setupWriter) fields(path string, v reflect.Value, below *[]func() error) error {
	for i := range v.NumField() {
		f, key := v.Field(i), v.Type().Field(i).Tag.Get("toml")
		pointer := f.Kind() == reflect.Pointer
		if f.IsZero() {
			continue
		}
		if pointer {
			f = f.Elem()
		}
		name := key
		if path != "" {
			name = path + "." + key
		}
		switch {
		case v.Type().Field(i).Anonymous:
			if err := w.fields(path, f, below); err != nil {
				return err
			}
		case f.Kind() == reflect.Struct:
			*below = append(*below, func() error { return w.section("["+name+"]", name, f) })
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				*below = append(*below, func() error { return w.section("[["+name+"]]", name, f.Index(j)) })
			}
		default:
			text, err := tomlValue(f)
			if err != nil {
				return fmt.Errorf("write %s: %w", name, err)
			}
			w.WriteString(key + " = " + text + "\n")
		}
	}
	return nil
}

func (w *setupWriter) section(head, path string, v reflect.Value) error {
	w.WriteString("\n" + head + "\n")
	return w.table(path, v)
}

// tomlValue writes a value that is no table.
func tomlValue(v reflect.Value) (string, error) {
	if d, ok := v.Interface().(time.Duration); ok {
		return tomlString(d.String()), nil
	}
	switch v.Kind() {
	case reflect.String:
		return tomlString(v.String()), nil
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), nil
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), nil
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			var err error
			if items[i], err = tomlValue(v.Index(i)); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(items, ", ") + "]", nil
	}
	return "", fmt.Errorf("a %s has no form in TOML here", v.Type())
}

// tomlString quotes a text; one of several lines stays readable.
func tomlString(s string) string {
	lines := strings.Contains(s, "\n")
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' && lines:
			b.WriteRune(r)
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	if lines { // the line end after the opening quotes does not count
		return `"""` + "\n" + b.String() + `"""`
	}
	return `"` + b.String() + `"`
}
