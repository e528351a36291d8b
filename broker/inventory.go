package broker

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"switchpoint/directory"
)

// parseCSV reads an inventory whose first line names its columns (RFC 4180; a "#" at the start of a
// line makes it a comment). Columns that fields does not name are not for us.
func parseCSV(r io.Reader, fields CenterFields) (Inventory, error) {
	in := newCSV(r)
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return Inventory{}, errors.New("it is empty; its first line has to name the columns, at least " + fields.Name)
	}
	if err != nil {
		return Inventory{}, csvError(err)
	}
	columns, err := columnsOf(header, fields)
	if err != nil {
		return Inventory{}, err
	}
	b := newInventoryBuilder()
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return b.out, nil
		}
		if err != nil {
			return Inventory{}, csvError(err)
		}
		line, _ := in.FieldPos(0)
		get := func(field string) string {
			if i, ok := columns[field]; ok && i < len(row) {
				return row[i]
			}
			return ""
		}
		if err := b.add(fmt.Sprintf("line %d", line), get, strings.Split(get("tags"), ";")); err != nil {
			return Inventory{}, err
		}
	}
}

// newCSV reads lines of any number of columns: what is short has empty values at its end.
func newCSV(r io.Reader) *csv.Reader {
	in := csv.NewReader(&withoutMark{r: r})
	in.Comment, in.FieldsPerRecord, in.TrimLeadingSpace, in.ReuseRecord = '#', -1, true, true
	return in
}

func csvError(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d, column %d: %w", e.Line, e.Column, e.Err)
	}
	return err
}

// withoutMark drops the byte order mark that spreadsheets put before their text.
type withoutMark struct {
	r    io.Reader
	seen bool
}

func (w *withoutMark) Read(p []byte) (int, error) {
	if w.seen {
		return w.r.Read(p)
	}
	w.seen = true
	first := make([]byte, 3)
	n, err := io.ReadFull(w.r, first)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	first = []byte(strings.TrimPrefix(string(first[:n]), "\ufeff"))
	w.r = io.MultiReader(strings.NewReader(string(first)), w.r)
	return w.r.Read(p)
}

// columnsOf finds the column of every field, without regard to case.
func columnsOf(header []string, fields CenterFields) (map[string]int, error) {
	columns := make(map[string]int)
	var twice string
	fields.each(func(field, source string) {
		for i, h := range header {
			if source == "" || !strings.EqualFold(strings.TrimSpace(h), source) {
				continue
			}
			if _, there := columns[field]; there {
				twice = source
			}
			columns[field] = i
		}
	})
	if twice != "" {
		return nil, fmt.Errorf("it has two columns %q", twice)
	}
	if _, ok := columns["name"]; !ok {
		return nil, fmt.Errorf("it has no column %q; its columns are %s", fields.Name, clip(strings.Join(header, ", ")))
	}
	return columns, nil
}

// parseJSON reads an inventory: a list of objects at the way that items names. Nothing is kept of
// the rest of the document.
func parseJSON(r io.Reader, items string, fields CenterFields) (Inventory, error) {
	d := json.NewDecoder(r)
	d.UseNumber()
	if err := enter(d, items); err != nil {
		return Inventory{}, err
	}
	b := newInventoryBuilder()
	for n := 1; d.More(); n++ {
		var item map[string]any
		if err := d.Decode(&item); err != nil {
			return Inventory{}, fmt.Errorf("item %d: %w", n, err)
		}
		get := func(field string) string { return jsonText(item, jsonPath(fields, field)) }
		if err := b.add(fmt.Sprintf("item %d", n), get, jsonTags(item, fields.Tags)); err != nil {
			return Inventory{}, err
		}
	}
	if _, err := d.Token(); err != nil { // the list has to end: an answer that was cut off would look like vanished desktops
		return Inventory{}, fmt.Errorf("the list does not end: %w", err)
	}
	return b.out, nil
}

// enter goes to the list: the keys of items one after the other, and into the bracket.
func enter(d *json.Decoder, items string) error {
	for _, key := range strings.Split(items, ".") {
		if items == "" {
			break
		}
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return fmt.Errorf("there is no object with the key %q: %w", key, cmpErr(err))
		}
		if err := seek(d, key); err != nil {
			return err
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("there is no list at %q: %w", items, cmpErr(err))
	}
	return nil
}

var errOtherForm = errors.New("the document has another form")

func cmpErr(err error) error {
	if err == nil {
		return errOtherForm
	}
	return err
}

// seek moves to the value of key in the object that d is in.
func seek(d *json.Decoder, key string) error {
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		if t == key {
			return nil
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return err
		}
	}
	return fmt.Errorf("there is no key %q", key)
}

// jsonPath is what the document calls a field.
func jsonPath(f CenterFields, field string) (path string) {
	f.each(func(name, source string) {
		if name == field {
			path = source
		}
	})
	return path
}

// jsonAt follows keys with dots between.
func jsonAt(item map[string]any, path string) any {
	var at any = item
	for key := range strings.SplitSeq(path, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[key]
	}
	return at
}

// jsonText gives plain values as text; lists and objects have none.
func jsonText(item map[string]any, path string) string {
	switch v := jsonAt(item, path).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	return ""
}

// jsonTags reads a list of texts, or one text with ";" between.
func jsonTags(item map[string]any, path string) []string {
	list, ok := jsonAt(item, path).([]any)
	if !ok {
		return strings.Split(jsonText(item, path), ";")
	}
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// accountDisabled is the bit ACCOUNTDISABLE of userAccountControl ([MS-ADTS] 2.2.16).
const accountDisabled = 2

// computers makes machines of directory entries. The id is the entry's own, the organisational unit
// what stands above it.
func computers(entries []directory.Record, fields CenterFields) (Inventory, error) {
	b := newInventoryBuilder()
	for _, e := range entries {
		get := func(field string) string {
			switch source := jsonPath(fields, field); {
			case source != "":
				return first(e.Values(source))
			case field == "id":
				return e.ID
			case field == "ou":
				return e.Parent
			case field == "enabled" && accountControl(first(e.Values("userAccountControl")))&accountDisabled != 0:
				return "no"
			}
			return ""
		}
		var tags []string
		if fields.Tags != "" {
			tags = slices.Clone(e.Values(fields.Tags))
		}
		if err := b.add(e.DN, get, tags); err != nil {
			return Inventory{}, err
		}
	}
	return b.out, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func accountControl(text string) (bits int) {
	_, _ = fmt.Sscanf(text, "%d", &bits) // no number: no bits
	return bits
}
