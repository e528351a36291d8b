package configs

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"switchpoint/internal/problem"
)

// decoder puts the values of parsed TOML into Config structs. It stands in for the library's
// own decoding because that one ignores the case of keys, stops at the first wrong type and
// does not say which element of a list it means.
type decoder struct {
	problems problem.List
	// blamed holds the paths with a problem, and those that a misspelled key meant. Rooms
	// then see an empty value there; what they say about it would repeat the problem.
	blamed map[string]bool
}

// maxNamedKeys is how many keys a message can list and still be read.
const maxNamedKeys = 15

func newDecoder() *decoder { return &decoder{blamed: map[string]bool{}} }

func (d *decoder) addf(path, cure, format string, args ...any) {
	d.problems.Addf(path, cure, format, args...)
	d.blamed[path] = true
}

// field is one TOML key of a struct.
type field struct {
	name  string
	index []int
	typ   reflect.Type
}

// fieldsOf lists the TOML keys of a struct in the order of its fields. Embedded structs
// without a tag count as part of it; fields without a tag or with "-" are not for the file.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, tagged := f.Tag.Lookup("toml")
		switch {
		case f.Anonymous && !tagged:
			for _, in := range fieldsOf(f.Type) {
				in.index = append([]int{i}, in.index...)
				fields = append(fields, in)
			}
		case tagged && name != "-" && f.IsExported():
			fields = append(fields, field{name: name, index: []int{i}, typ: f.Type})
		}
	}
	return fields
}

// table decodes in, the table at path, into the struct out.
func (d *decoder) table(path string, in map[string]any, out reflect.Value) {
	fields := fieldsOf(out.Type())
	for _, key := range slices.Sorted(maps.Keys(in)) {
		at := joinKey(path, key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key })
		if i < 0 {
			d.unknown(path, key, in, fields)
			continue
		}
		d.value(at, in[key], out.FieldByIndex(fields[i].index))
	}
}

// unknown reports a key of the table in, at path, that none of the fields has.
func (d *decoder) unknown(path, key string, in map[string]any, fields []field) {
	var names, likely []string
	for _, f := range fields {
		names = append(names, f.name)
		// A key that is there was hardly meant, but "monitors" beside "monitor" was.
		if _, there := in[f.name]; !there || isTable(f.typ) {
			likely = append(likely, f.name)
		}
	}
	what, where := "unknown key", "["+plainPath(path)+"]"
	switch in[key].(type) {
	case map[string]any, []map[string]any:
		what = "unknown section"
	}
	if path == "" {
		where = "a configuration"
	}
	cure := fmt.Sprintf("remove it; %s has the keys %s", where, words(names))
	if len(names) > maxNamedKeys {
		cure = fmt.Sprintf("remove it; switchpoint.toml among the samples shows every key of %s", where)
	}
	if near := closest(key, likely); near != "" {
		cure = fmt.Sprintf("did you mean %q?", near)
		if _, there := in[near]; !there {
			d.blamed[joinKey(path, near)] = true
		}
	}
	d.addf(joinKey(path, key), cure, "%s", what)
}

var durationType = reflect.TypeFor[time.Duration]()

// value decodes in, the value at path, into out.
func (d *decoder) value(path string, in any, out reflect.Value) {
	if out.Type() == durationType {
		d.duration(path, in, out)
		return
	}
	switch out.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(out.Type().Elem()))
		d.value(path, in, out.Elem())
	case reflect.Struct:
		switch in := in.(type) {
		case map[string]any:
			d.table(path, in, out)
		case []map[string]any:
			d.addf(path, fmt.Sprintf("write [%s] with single brackets", plainPath(path)), "is a list, but there is only one of it")
		default:
			d.addf(path, fmt.Sprintf("write it as a section [%s]", plainPath(path)), "is %s, but this is a section", show(in))
		}
	case reflect.Slice:
		d.list(path, in, out)
	case reflect.String:
		if s, ok := in.(string); ok {
			out.SetString(s)
			return
		}
		cure := "write text in quotes"
		if n, ok := in.(int64); ok {
			cure = fmt.Sprintf("write \"%d\"", n)
		}
		d.addf(path, cure, "is %s, but this key takes text", show(in))
	case reflect.Bool:
		if b, ok := in.(bool); ok {
			out.SetBool(b)
			return
		}
		d.addf(path, "write true or false, without quotes", "is %s, but this key takes true or false", show(in))
	case reflect.Int, reflect.Uint16, reflect.Uint32:
		d.integer(path, in, out)
	case reflect.Float64:
		d.number(path, in, out)
	default:
		// Only a room that adds a field of a new type gets here, and its first test does.
		d.addf(path, "report this", "a value of type %s cannot be read", out.Type())
	}
}

// list decodes a list, of tables or of values.
func (d *decoder) list(path string, in any, out reflect.Value) {
	var items []any
	ofTables := out.Type().Elem().Kind() == reflect.Struct
	switch in := in.(type) {
	case []any:
		items = in
	case []map[string]any:
		for _, t := range in {
			items = append(items, t)
		}
	case map[string]any:
		if ofTables {
			d.addf(path, fmt.Sprintf("write [[%s]] with double brackets", plainPath(path)), "is one section, but there may be several of it")
			return
		}
		d.addf(path, "write a list in square brackets", "is a section, but this key takes a list")
		return
	case string:
		d.addf(path, fmt.Sprintf("write [%q]", in), "is text, but this key takes a list")
		return
	default:
		d.addf(path, "write a list in square brackets", "is %s, but this key takes a list", show(in))
		return
	}
	out.Set(reflect.MakeSlice(out.Type(), len(items), len(items)))
	for i, item := range items {
		d.value(element(path, i), item, out.Index(i))
	}
}

// integer decodes a whole number. Zero is refused, since the rooms take the zero value as
// "not given": a written 0 would silently become the default.
func (d *decoder) integer(path string, in any, out reflect.Value) {
	n, ok := in.(int64)
	most := int64(math.MaxInt32)
	switch out.Kind() {
	case reflect.Uint16:
		most = math.MaxUint16
	case reflect.Uint32:
		most = math.MaxUint32
	}
	switch {
	case !ok:
		cure := "write a whole number without quotes"
		if s, isText := in.(string); isText {
			if _, err := strconv.Atoi(s); err == nil {
				cure = "write " + s + " without quotes"
			}
		}
		d.addf(path, cure, "is %s, but this key takes a whole number", show(in))
	case n == 0:
		d.addf(path, "write 1 or more, or leave the key out for its default", "is 0")
	case n < 0 || n > most:
		d.addf(path, fmt.Sprintf("write a number from 1 to %d", most), "%d is out of range", n)
	case out.CanUint():
		out.SetUint(uint64(n))
	default:
		out.SetInt(n)
	}
}

// number decodes a number with or without a fraction. Zero is refused as in integer.
func (d *decoder) number(path string, in any, out reflect.Value) {
	var f float64
	switch in := in.(type) {
	case float64:
		f = in
	case int64:
		f = float64(in)
	default:
		d.addf(path, "write a number without quotes, such as 0.5", "is %s, but this key takes a number", show(in))
		return
	}
	if !(f > 0) || math.IsInf(f, 0) { // not a number is neither
		d.addf(path, "write a number above zero, or leave the key out for its default", "%v is out of range", f)
		return
	}
	out.SetFloat(f)
}

// duration decodes a time span such as "5s" or "1m30s". Zero is refused as in integer.
func (d *decoder) duration(path string, in any, out reflect.Value) {
	const cure = `write a number with its unit, such as "500ms", "5s", "2m" or "12h"`
	switch in := in.(type) {
	case int64:
		d.addf(path, fmt.Sprintf("write \"%ds\"", in), "%d has no unit", in)
	case float64:
		d.addf(path, fmt.Sprintf("write \"%vs\"", in), "%v has no unit", in)
	case string:
		if _, err := strconv.ParseFloat(in, 64); err == nil {
			d.addf(path, fmt.Sprintf("write \"%ss\"", in), "%q has no unit", in)
			return
		}
		span, err := time.ParseDuration(in)
		switch {
		case err != nil:
			d.addf(path, cure, "%q is no duration", in)
		case span <= 0:
			d.addf(path, "write a duration above zero, or leave the key out for its default", "%q is not above zero", in)
		default:
			out.SetInt(int64(span))
		}
	default:
		d.addf(path, cure, "is %s, but this key takes a duration", show(in))
	}
}

// show describes a TOML value for a message, without repeating long text.
func show(in any) string {
	switch in := in.(type) {
	case string:
		if len(in) > 40 {
			return "text"
		}
		return fmt.Sprintf("the text %q", in)
	case int64:
		return fmt.Sprintf("the number %d", in)
	case float64:
		return fmt.Sprintf("the number %v", in)
	case bool:
		return fmt.Sprintf("%v", in)
	case time.Time:
		return "a date"
	case []any, []map[string]any:
		return "a list"
	default:
		return "a section"
	}
}
