package configs

import (
	"reflect"
	"testing"
	"time"
)

// sample has one field of each type that configurations have.
type sample struct {
	Text     string        `toml:"text"`
	Span     time.Duration `toml:"span"`
	Count    int           `toml:"count"`
	Port     uint16        `toml:"port"`
	On       bool          `toml:"on"`
	Maybe    *bool         `toml:"maybe"`
	Texts    []string      `toml:"texts"`
	Counts   []int         `toml:"counts"`
	Tables   []inner       `toml:"tables"`
	One      inner         `toml:"one"`
	Optional *inner        `toml:"optional"`
	embedded
	Internal string `toml:"-"`
	Untagged string
}

type inner struct {
	Name string `toml:"name"`
}

type embedded struct {
	Deep string `toml:"deep"`
}

func TestDecode(t *testing.T) {
	var got sample
	f := parse("x.toml", `
text = "a"
span = "1m30s"
count = 3
port = 65535
on = true
maybe = false
texts = ["a", "b"]
counts = [1, 2]
tables = [{name = "x"}, {name = "y"}]
one.name = "z"
deep = "d"
[optional]
`, &got)
	if len(f.problems) > 0 {
		t.Fatal(f.problems)
	}
	off := false
	want := sample{
		Text: "a", Span: 90 * time.Second, Count: 3, Port: 65535, On: true, Maybe: &off, Texts: []string{"a", "b"},
		Counts: []int{1, 2}, Tables: []inner{{"x"}, {"y"}}, One: inner{"z"}, Optional: &inner{}, embedded: embedded{"d"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`text = 1`:                 `x.toml:1: text: is the number 1, but this key takes text; write "1"`,
		`text = 1.5`:               `x.toml:1: text: is the number 1.5, but this key takes text; write text in quotes`,
		`text = 1979-05-27`:        `x.toml:1: text: is a date, but this key takes text; write text in quotes`,
		`text = ["a"]`:             `x.toml:1: text: is a list, but this key takes text; write text in quotes`,
		`Text = "a"`:               `x.toml:1: Text: unknown key; did you mean "text"?`,
		`Untagged = "a"`:           `x.toml:1: Untagged: unknown key; remove it; a configuration has the keys text, span, count, port, on, maybe, texts, counts, tables, one, optional, deep`,
		`span = 5`:                 `x.toml:1: span: 5 has no unit; write "5s"`,
		`span = 1.5`:               `x.toml:1: span: 1.5 has no unit; write "1.5s"`,
		`span = "5"`:               `x.toml:1: span: "5" has no unit; write "5s"`,
		`span = "5 s"`:             `x.toml:1: span: "5 s" is no duration; write a number with its unit, such as "500ms", "5s", "2m" or "12h"`,
		`span = "1d"`:              `x.toml:1: span: "1d" is no duration; write a number with its unit, such as "500ms", "5s", "2m" or "12h"`,
		`span = "-5s"`:             `x.toml:1: span: "-5s" is not above zero; write a duration above zero, or leave the key out for its default`,
		`span = true`:              `x.toml:1: span: is true, but this key takes a duration; write a number with its unit, such as "500ms", "5s", "2m" or "12h"`,
		`count = "3"`:              `x.toml:1: count: is the text "3", but this key takes a whole number; write 3 without quotes`,
		`count = "three"`:          `x.toml:1: count: is the text "three", but this key takes a whole number; write a whole number without quotes`,
		`count = 0`:                `x.toml:1: count: is 0; write 1 or more, or leave the key out for its default`,
		`count = -1`:               `x.toml:1: count: -1 is out of range; write a number from 1 to 2147483647`,
		`port = 65536`:             `x.toml:1: port: 65536 is out of range; write a number from 1 to 65535`,
		`on = "true"`:              `x.toml:1: on: is the text "true", but this key takes true or false; write true or false, without quotes`,
		`maybe = 1`:                `x.toml:1: maybe: is the number 1, but this key takes true or false; write true or false, without quotes`,
		`texts = "a"`:              `x.toml:1: texts: is text, but this key takes a list; write ["a"]`,
		`texts = {a = 1}`:          `x.toml:1: texts: is a section, but this key takes a list; write a list in square brackets`,
		"texts = [\n\"a\",\n7]":    `x.toml:3: texts[1]: is the number 7, but this key takes text; write "7"`,
		`tables = 5`:               `x.toml:1: tables: is the number 5, but this key takes a list; write a list in square brackets`,
		"[tables]\nname = 'x'":     `x.toml:1: tables: is one section, but there may be several of it; write [[tables]] with double brackets`,
		"tables = [{}, 5]":         `x.toml:1: tables[1]: is the number 5, but this is a section; write it as a section [tables]`,
		"[[one]]":                  `x.toml:1: one: is a list, but there is only one of it; write [one] with single brackets`,
		"\n[one]\n\nnam = 'x'":     `x.toml:4: one.nam: unknown key; did you mean "name"?`,
		"[[tables]]\n[tables.sub]": `x.toml:2: tables[0].sub: unknown section; remove it; [tables] has the keys name`,
		"a = 1\na = 2":             `x.toml:2: is not valid TOML: Key 'a' has already been defined`,
		"a = \"\xff\"":             `x.toml:1: is not valid TOML: invalid UTF-8 byte: 0xff`,
		"":                         "",
	} {
		f := parse("x.toml", text, &sample{})
		got := ""
		if err := f.problems.err("x.toml"); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestRoomsDoNotRepeatWhatDecodingSaid: a value that could not be read is empty for its room,
// which would report it a second time and mislead.
func TestRoomsDoNotRepeatWhatDecodingSaid(t *testing.T) {
	for text, want := range map[string]string{
		"[broker]\ncluster = 1\nsite_id = 1\nlisten = ['127.0.0.1:1']":      `x.toml:2: broker.cluster: is the number 1, but this key takes text; write "1"`,
		"[broker]\nclustre = 'us'\nsite_id = 1\nlisten = ['127.0.0.1:1']":   `x.toml:2: broker.clustre: unknown key; did you mean "cluster"?`,
		"[broker]\ncluster = 'us'\nsite_id = 1\nlisten = '127.0.0.1:1'":     `x.toml:4: broker.listen: is text, but this key takes a list; write ["127.0.0.1:1"]`,
		"[broker]\ncluster = 'us'\nsite_id = 1\nlisten = ['127.0.0.1:1',2]": `x.toml:4: broker.listen[1]: is the number 2, but this key takes text; write "2"`,
	} {
		_, err := load("x.toml", text)
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestClosest(t *testing.T) {
	known := []string{"interval", "timeout", "listen", "lb_method", "persistence", "persistence_timeout"}
	for word, want := range map[string]string{
		"intervall": "interval", "time_out": "timeout", "lb-method": "lb_method", "LISTEN": "listen",
		"persistance": "persistence", "persistence_timout": "persistence_timeout", "weight": "", "x": "", "": "",
	} {
		if got := closest(word, known); got != want {
			t.Errorf("closest(%q) = %q, want %q", word, got, want)
		}
	}
}
