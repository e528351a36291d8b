package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"switchpoint/broker"
)

// reread is the setup that a written one is read as, without what checks think of it.
func reread(t *testing.T, s broker.Setup) broker.Setup {
	t.Helper()
	text, err := WriteSetup(s)
	if err != nil {
		t.Fatal(err)
	}
	var out broker.Setup
	f := parse("setup.toml", string(text), &out)
	if err := f.problems.err("setup.toml"); err != nil || !f.parsed {
		t.Fatalf("%v in\n%s", err, text)
	}
	return out
}

// fillAll sets every field of a value to something of its own.
func fillAll(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(time.Duration(*n) * 1500 * time.Millisecond))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fillAll(t, v.Field(i), n)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAll(t, v.Elem(), n)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillAll(t, v.Index(0), n)
		fillAll(t, v.Index(1), n)
	case v.Kind() == reflect.String:
		v.SetString(strings.Repeat("a \"b\" \\ c\tü", *n%3) + "#" + strings.Repeat("\nline", *n%2))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Int:
		v.SetInt(int64(*n))
	default:
		t.Fatalf("a %s in a setup", v.Type())
	}
}

// TestWriteSetupHasEverything: no setting that there is, or will be, is forgotten.
func TestWriteSetupHasEverything(t *testing.T) {
	var s broker.Setup
	n := 0
	fillAll(t, reflect.ValueOf(&s).Elem(), &n)
	if got := reread(t, s); !reflect.DeepEqual(got, s) {
		t.Errorf("written and read again:\n%+v\nwant\n%+v", got, s)
	}
	if got := reread(t, broker.Setup{}); !reflect.DeepEqual(got, broker.Setup{}) {
		t.Errorf("an empty setup becomes %+v", got)
	}
	no := false // set, and zero all the same
	s = broker.Setup{Directories: s.Directories[:1]}
	s.Directories[0].Redirect.CaseSensitive = &no
	if got := reread(t, s); !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, want %+v", got, s)
	}
}

// TestWriteSetupOfSample: the annotated sample, stored with its defaults as the database has it, is
// the same setup after it was exported and applied.
func TestWriteSetupOfSample(t *testing.T) {
	path, _ := withAllSettings(t, "broker.toml")
	s, err := LoadSetup(path, []string{"is_alive"}, "us")
	if err != nil {
		t.Fatal(err)
	}
	stored := s.WithDefaults()
	text, err := WriteSetup(stored)
	if err != nil {
		t.Fatal(err)
	}
	export := filepath.Join(t.TempDir(), "export.toml")
	if err := os.WriteFile(export, text, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := LoadSetup(export, []string{"is_alive"}, "us")
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if got := again.WithDefaults(); !reflect.DeepEqual(got, stored) {
		t.Errorf("%+v\nwant\n%+v\nof\n%s", got, stored, text)
	}
}

func FuzzWriteSetup(f *testing.F) {
	for _, seed := range []string{"", "a", "\n", "\na\n", "a\r\nb", `"""`, "\n\"\"\"\\", `\u0041`, "\x00\x7f\u2028", "'''", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || len(text) > 1<<16 {
			return // JSON, by which a setup is stored, holds no other
		}
		s := broker.Setup{Protocols: []broker.Protocol{{Name: "x", Template: text}}, Desktops: []broker.Desktop{{Name: "y", Tags: []string{text, "z"}}}}
		if got := reread(t, s); !reflect.DeepEqual(got, s) {
			t.Errorf("%q becomes %q and %q", text, got.Protocols[0].Template, got.Desktops[0].Tags)
		}
	})
}
