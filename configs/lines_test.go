package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"pgregory.net/rapid"
)

func TestIndexLines(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]int
	}{
		{"keys and tables", "a = 1\n\n[node]\nname = 'x' # [no]\n[log]\nlevel=\"info\"\n",
			map[string]int{"a": 1, "node": 3, "node.name": 4, "log": 5, "log.level": 6}},
		{"lists of tables", "[[m]]\nx=1\n[[m]]\nx=2\n[m.sub]\ny=3\n[[m.in]]\n[[m.in]]\nz=4\n",
			map[string]int{"m": 1, "m[0]": 1, "m[0].x": 2, "m[1]": 3, "m[1].x": 4, "m[1].sub": 5, "m[1].sub.y": 6,
				"m[1].in": 7, "m[1].in[0]": 7, "m[1].in[1]": 8, "m[1].in[1].z": 9}},
		{"a table named after its children", "[g.n]\nx=1\n[g]\ny=2\n",
			map[string]int{"g": 3, "g.n": 1, "g.n.x": 2, "g.y": 4}},
		{"dotted and quoted keys", "a.\"b c\" . 'd.e' = 1\n\"x\\u0079\" = 2\n",
			map[string]int{"a": 1, `a."b c"`: 1, `a."b c"."d.e"`: 1, "xy": 2}},
		{"inline tables and lists over lines", "m = [ # one\n  {a = 1, b = [2, 3]},\n\n  {a = \"]},\",\n   b = 4},\n]\nn = 5\n",
			map[string]int{"m": 1, "m[0]": 2, "m[0].a": 2, "m[0].b": 2, "m[0].b[0]": 2, "m[0].b[1]": 2, "m[1]": 4, "m[1].a": 4, "m[1].b": 5, "n": 7}},
		{"strings that look like structure", "a = '''\n[no]\nb = 1 \\'''\nc = \"\"\"x\\\"\"\"\n[[no]]\"\"\"\"\"\nd = \"[x] # \\\" y\"\ne = 1979-05-27 07:32:00\n",
			map[string]int{"a": 1, "c": 4, "d": 6, "e": 7}},
		{"line ends of Windows and a byte order mark", "\ufeff[a]\r\nb = 1\r\nc = 2 # x\r\n",
			map[string]int{"a": 1, "a.b": 2, "a.c": 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := decodeTOML(tt.text); err != nil {
				t.Fatalf("the test's text is no TOML: %v", err)
			}
			if got := indexLines(tt.text).at; !maps.Equal(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

func TestIndexLineOfSomethingMissing(t *testing.T) {
	x := indexLines("a = 1\n[gtm]\n[[gtm.name]]\nname = 'x'\n")
	for path, want := range map[string]int{
		"gtm.name[0].pool[2].members[1].address": 3,
		"gtm.name[7].name":                       3,
		"gtm.listen":                             2,
		"lb.listener[0]":                         1,
		"":                                       1,
	} {
		if got := x.line(path); got != want {
			t.Errorf("line(%q) = %d, want %d", path, got, want)
		}
	}
}

func TestTooDeepText(t *testing.T) {
	for name, text := range map[string]string{
		"lists":         "x = 1\na = " + strings.Repeat("[", 1<<20),
		"mixed":         "x = 1\na = " + strings.Repeat("[{a=", 1<<18),
		"dotted key":    "x = 1\n" + strings.Repeat("a.", 1<<20) + "a = 1",
		"header":        "x = 1\n[" + strings.Repeat("a.", 1<<20) + "a]",
		"one long key":  "x = 1\n[" + strings.Repeat("a", 1<<20) + "]",
		"keys below it": "x = 1\na = {" + strings.Repeat("bbbbbbbbbbbbbbbbbbbbbbb.", 25) + "c = 1}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load("deep.toml", text)
			problems, ok := err.(Problems)
			if !ok || len(problems) != 1 || problems[0].Line != 2 || !strings.Contains(problems[0].What, "nests deeper") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestIndexOfGeneratedTOML writes TOML of random structure in all its spellings, and notes the
// line of each path while writing.
func TestIndexOfGeneratedTOML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := generator{t: t, line: 1, want: map[string]int{}}
		g.tables()
		text := g.b.String()
		if _, err := decodeTOML(text); err != nil {
			t.Fatalf("the generator wrote no TOML: %v\n%s", err, text)
		}
		if got := indexLines(text).at; !maps.Equal(got, g.want) {
			t.Fatalf("%s\ngot  %v\nwant %v", text, got, g.want)
		}
	})
}

// generator writes TOML with the line of each path.
type generator struct {
	t    *rapid.T
	b    strings.Builder
	line int
	want map[string]int
	n    int
}

func (g *generator) write(s string) {
	g.b.WriteString(s)
	g.line += strings.Count(s, "\n")
}

func (g *generator) pick(options ...string) string {
	return rapid.SampledFrom(options).Draw(g.t, "spelling")
}

// key gives a fresh key as written and as it stands in a path.
func (g *generator) key() (written, path string) {
	g.n++
	switch rapid.IntRange(0, 3).Draw(g.t, "key") {
	case 0:
		return fmt.Sprintf("\"k %d]\"", g.n), fmt.Sprintf("\"k %d]\"", g.n)
	case 1:
		return fmt.Sprintf("'k%d'", g.n), fmt.Sprintf("k%d", g.n)
	default:
		return fmt.Sprintf("k%d", g.n), fmt.Sprintf("k%d", g.n)
	}
}

func (g *generator) tables() {
	g.keys("")
	for range rapid.IntRange(0, 3).Draw(g.t, "tables") {
		written, path := g.key()
		if !rapid.Bool().Draw(g.t, "list") {
			g.want[path] = g.line
			g.write("[" + written + "]" + g.pick("", " # [x]", "\t") + "\n")
			g.keys(path)
			continue
		}
		g.want[path] = g.line
		for i := range rapid.IntRange(1, 3).Draw(g.t, "elements") {
			at := element(path, i)
			g.want[at] = g.line
			g.write(g.pick("", "\n", "# '''\n"))
			g.want[at] = g.line
			if i == 0 {
				g.want[path] = g.line
			}
			g.write(g.pick("", "  ") + "[[" + g.pick("", " ") + written + "]]\n")
			g.keys(at)
			if rapid.Bool().Draw(g.t, "below") {
				sub, subPath := g.key()
				g.want[at+"."+subPath] = g.line
				g.write("[" + written + "." + sub + "]\n")
				g.keys(at + "." + subPath)
			}
		}
	}
}

func (g *generator) keys(table string) {
	for range rapid.IntRange(0, 4).Draw(g.t, "keys") {
		g.write(g.pick("", "\n", "# c = \"\"\"\n", "\t"))
		g.pair(table, 0, true)
		g.write(g.pick("\n", " # '\n", "\r\n"))
	}
}

func (g *generator) pair(table string, depth int, dotted bool) {
	written, path := g.key()
	at := path
	if table != "" {
		at = table + "." + path
	}
	g.want[at] = g.line
	if dotted && rapid.Bool().Draw(g.t, "dotted") {
		more, morePath := g.key()
		written += g.pick(".", " . ") + more
		at += "." + morePath
		g.want[at] = g.line
	}
	g.write(written + g.pick("=", " = "))
	g.value(at, depth)
}

func (g *generator) value(at string, depth int) {
	kind := rapid.IntRange(0, 4).Draw(g.t, "kind")
	if depth > 3 && kind > 2 {
		kind = 0
	}
	switch kind {
	case 3:
		g.write("[")
		for i := range rapid.IntRange(0, 3).Draw(g.t, "items") {
			g.write(g.pick("", " ", "\n", "# ]\n"))
			g.want[element(at, i)] = g.line
			g.value(element(at, i), depth+1)
			g.write(g.pick(",", " ,", "\n,"))
		}
		g.write(g.pick("", "\n") + "]")
	case 4:
		g.write("{")
		for i := range rapid.IntRange(0, 3).Draw(g.t, "pairs") {
			if i > 0 {
				g.write(", ")
			}
			g.pair(at, depth+1, false)
		}
		g.write("}")
	default:
		g.write(g.pick("1", "-3.5", "true", `""`, `''`, `"a\\\"]#"`, "'[x]\\'", "\"\"\"\"\"\"", "\"\"\"\n[a]\n\\\"\"\"\"",
			"'''\na = 1\n'''", "'''x'''''", "1979-05-27 07:32:00", "[]"))
	}
}

// FuzzIndexLines holds against arbitrary text: no panic, and for what is valid TOML exactly the
// paths that the parser finds.
func FuzzIndexLines(f *testing.F) {
	f.Add("a = 1\n[b]\nc = [{d=1},\n{d=2}]\n[[e]]\nf.g = '''\n'''\n")
	f.Add("a = \"\"\"\\\"\"\"\"\n[[a.b]]\n[a.b.c]\n")
	f.Add("\"\" = 1\n'' . x = {}\n")
	f.Add("a = [[],[{b = {}}]]\n")
	f.Add("\xfe\xff") // marks that the parser skips
	f.Add("\ufeffa = 1")
	f.Add("[a]\n[[b]]\n[b.\"c]\"]\nd=2\n")
	f.Fuzz(func(t *testing.T, text string) {
		x := indexLines(text)
		values, err := decodeTOML(text)
		if err != nil || x.tooDeep > 0 || len(text) > 1<<16 {
			return
		}
		want := map[string]bool{}
		paths(want, "", values)
		for path := range want {
			if !x.has(path) {
				t.Errorf("%q: the index lacks %s: %v", text, path, x.at)
			}
		}
		last := 1 + strings.Count(text, "\n")
		for _, path := range slices.Sorted(maps.Keys(x.at)) {
			if !want[path] {
				t.Errorf("%q: the index has %s, which is not there", text, path)
			}
			if x.at[path] < 1 || x.at[path] > last {
				t.Errorf("%q: %s is on line %d of %d", text, path, x.at[path], last)
			}
		}
	})
}

// paths adds every path of a decoded value to into.
func paths(into map[string]bool, path string, v any) {
	if path != "" {
		into[path] = true
	}
	switch v := v.(type) {
	case map[string]any:
		for key, in := range v {
			paths(into, joinKey(path, key), in)
		}
	case []map[string]any:
		for i, in := range v {
			paths(into, element(path, i), in)
		}
	case []any:
		for i, in := range v {
			paths(into, element(path, i), in)
		}
	}
}

func TestUnquoteAgreesWithTheParser(t *testing.T) {
	for _, key := range []string{`"a"`, `'a'`, `"a\tb"`, `'a\tb'`, `""`, `''`, `"\u00e4"`} {
		var values map[string]any
		if _, err := toml.Decode(key+" = 1", &values); err != nil {
			t.Fatal(err)
		}
		if _, ok := values[unquote(key)]; !ok {
			t.Errorf("unquote(%s) = %q, the parser reads %v", key, unquote(key), values)
		}
	}
}
