package healthcheck

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// section is what docs/monitors.md says of a kind: its keys with their defaults.
type section struct {
	name     string
	keys     []string
	defaults map[string]string
}

var keyRow = regexp.MustCompile("^\\| `([a-z_]+)` \\|([^|]*)\\|")

func readMonitorsPage(t *testing.T) (sections []section) {
	t.Helper()
	page, err := os.ReadFile("../docs/monitors.md")
	if err != nil {
		t.Fatal(err)
	}
	inKeys := false
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			sections = append(sections, section{name: name, defaults: make(map[string]string)})
		}
		if strings.HasPrefix(line, "|") && !inKeys {
			inKeys = strings.HasPrefix(line, "| key |")
		} else if line == "" {
			inKeys = false
		}
		if row := keyRow.FindStringSubmatch(line); inKeys && row != nil {
			s := &sections[len(sections)-1]
			s.keys = append(s.keys, row[1])
			s.defaults[row[1]] = strings.Trim(row[2], " `")
		}
	}
	return sections
}

// inTOML writes a value as the page does; nothing for an empty one.
func inTOML(v reflect.Value) string {
	switch {
	case v.IsZero():
		return ""
	case v.Type() == reflect.TypeFor[time.Duration]():
		return fmt.Sprintf("%q", v.Interface())
	case v.Kind() == reflect.String:
		return `"` + v.String() + `"`
	}
	return fmt.Sprint(v.Interface())
}

// The page has a section for each kind, in order, with just the keys that the kind takes, and
// the defaults that they have.
func TestMonitorsPage(t *testing.T) {
	sections := readMonitorsPage(t)
	names := make([]string, 0, len(sections))
	for _, s := range sections {
		names = append(names, s.name)
	}
	if want := append([]string{"All kinds"}, kinds...); !slices.Equal(names, want) {
		t.Fatalf("sections %q, want %q", names, want)
	}
	for _, s := range sections {
		var want []string
		if s.name == "All kinds" {
			want = []string{"name", "kind", "interval", "timeout", "fall", "rise"}
		}
		for key, allowed := range keyKinds {
			if slices.Contains(allowed, s.name) {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		if have := slices.Sorted(slices.Values(s.keys)); !slices.Equal(have, want) {
			t.Errorf("%s: the page has the keys %q, want %q", s.name, have, want)
		}
		kind := s.name
		if !slices.Contains(kinds, kind) {
			kind = ""
		}
		v := reflect.ValueOf(Monitor{Kind: kind}.WithDefaults())
		for i := range v.NumField() {
			key := v.Type().Field(i).Tag.Get("toml")
			if said, there := s.defaults[key]; there && key != "kind" && said != inTOML(v.Field(i)) {
				t.Errorf("%s: the page says that %s is %s by default, it is %s", s.name, key, said, inTOML(v.Field(i)))
			}
		}
	}
}
