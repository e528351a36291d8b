package nodes

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"switchpoint/gtm/steer"
)

func alice(reason string) steer.Note { return steer.Note{Owner: "alice", Reason: reason} }

// version makes the next version of a document on a node.
func version(t *testing.T, before *steer.Operator, node string, change func(*steer.Operator)) *steer.Operator {
	t.Helper()
	next, err := successor(before, node, monday, func(o *steer.Operator) error { change(o); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := encodeDocument(next); err != nil {
		t.Fatal(err)
	}
	return next
}

func override(pattern, state string) func(*steer.Operator) {
	return func(o *steer.Operator) {
		*o = *o.With(steer.Override{Pattern: pattern, State: state, Note: alice("")})
	}
}

func setMode(mode string) func(*steer.Operator) {
	return func(o *steer.Operator) { o.Mode, o.ModeWhy = mode, alice("drill") }
}

func TestSuccessor(t *testing.T) {
	before := version(t, &steer.Operator{}, "us", func(o *steer.Operator) {
		o.Overrides = []steer.Override{
			{Pattern: "a", State: "down", Until: at(60), Note: alice("")},
			{Pattern: "b", State: "down", Note: alice("")},
		}
	})
	after, err := successor(before, "uk", at(60), func(o *steer.Operator) error {
		setMode(steer.ModeDR)(o)
		override("c", "up")(o)
		o.Releases = append(o.Releases, steer.Release{Pattern: "*/us", Note: alice("")})
		o.Version, o.Node, o.Past = 99, "x", nil // not for the change to say
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if after.Stamp() != (steer.Stamp{Version: 2, Node: "uk"}) || !after.At.Equal(at(60)) || !reflect.DeepEqual(after.Past, []steer.Stamp{{Version: 1, Node: "us"}}) {
		t.Errorf("%+v", after)
	}
	if len(after.Overrides) != 2 || after.Overrides[0].Version != 1 || after.Overrides[1].Version != 2 || !after.Overrides[1].At.Equal(at(60)) {
		t.Errorf("the overrides are %+v: the first has ended by itself", after.Overrides)
	}
	if after.ModeVersion != 2 || !after.ModeWhy.At.Equal(at(60)) || after.Releases[0].Version != 2 {
		t.Errorf("%+v", after)
	}
	if len(before.Overrides) != 2 || before.Mode != "" {
		t.Errorf("the version before was changed: %+v", before)
	}
	ended := func(o *steer.Operator) error {
		*o = *o.With(steer.Override{Pattern: "d", State: "down", Until: at(59), Note: alice("")})
		return nil
	}
	if _, err := successor(after, "uk", at(60), ended); err == nil || !strings.Contains(err.Error(), "already ended") {
		t.Errorf("an override that has ended: %v", err)
	}
	refused := errors.New("no")
	if _, err := successor(after, "uk", at(60), func(*steer.Operator) error { return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
}

func TestSuccessorsAreBounded(t *testing.T) {
	o := &steer.Operator{}
	for range 2 * steer.MaxPast {
		o = version(t, o, "us", func(o *steer.Operator) {
			o.Releases = append(o.Releases, steer.Release{Pattern: "*/us", Note: alice("")})
		})
	}
	if len(o.Past) != steer.MaxPast || len(o.Releases) != steer.MaxReleases {
		t.Errorf("%d versions, %d releases", len(o.Past), len(o.Releases))
	}
	if last := o.Releases[len(o.Releases)-1]; last.Version != o.Version {
		t.Errorf("the newest release is of version %d of %d", last.Version, o.Version)
	}
	if !descends(o, steer.Stamp{Version: 1, Node: "us"}) || !descends(o, steer.Stamp{Version: 150, Node: "us"}) || descends(o, steer.Stamp{Version: 150, Node: "uk"}) {
		t.Error("the past is not told from another one")
	}
}

func TestLost(t *testing.T) {
	base := version(t, version(t, &steer.Operator{}, "us", override("old", "down")), "us", override("kept", "down"))
	for name, tc := range map[string]struct {
		loser, winner []func(*steer.Operator)
		want          string
	}{
		"nothing said": {nil, []func(*steer.Operator){setMode("dr")}, ""},
		"the mode": {
			[]func(*steer.Operator){setMode("dr")}, []func(*steer.Operator){override("new", "down")},
			"mode dr by alice at 2026-03-02 12:00:00 (drill)"},
		"both said the same mode": {[]func(*steer.Operator){setMode("dr")}, []func(*steer.Operator){setMode("dr")}, ""},
		"an override": {
			[]func(*steer.Operator){override("*/us", "draining")}, []func(*steer.Operator){override("new", "down")},
			"override */us draining by alice at 2026-03-02 12:00:00"},
		"both said the same override": {
			[]func(*steer.Operator){override("*/us", "down")}, []func(*steer.Operator){override("*/us", "down")}, ""},
		"the other said another state": {
			[]func(*steer.Operator){override("*/us", "down")}, []func(*steer.Operator){override("*/us", "up")},
			"override */us down by alice at 2026-03-02 12:00:00"},
		"an end": {
			[]func(*steer.Operator){func(o *steer.Operator) { *o = without(o, "old") }}, []func(*steer.Operator){override("new", "down")},
			"the end of override old down by alice at 2026-03-02 12:00:00"},
		"the winner ended an older one": {
			[]func(*steer.Operator){override("new", "down")},
			[]func(*steer.Operator){func(o *steer.Operator) { *o = without(o, "old") }, override("new", "down")}, ""},
		"a release": {
			[]func(*steer.Operator){func(o *steer.Operator) {
				o.Releases = append(o.Releases, steer.Release{Pattern: "*/us", Note: alice("fixed")})
			}}, []func(*steer.Operator){setMode("dr")},
			"release */us by alice at 2026-03-02 12:00:00 (fixed)"},
	} {
		t.Run(name, func(t *testing.T) {
			side := func(node string, changes []func(*steer.Operator)) *steer.Operator {
				o := base
				for _, c := range changes {
					o = version(t, o, node, c)
				}
				return o
			}
			loser, winner := side("aa", tc.loser), side("zz", append(tc.winner, func(*steer.Operator) {}))
			if !winner.Newer(loser) {
				t.Fatal("it does not win")
			}
			if got := strings.Join(lost(loser, winner), "; "); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func without(o *steer.Operator, pattern string) steer.Operator {
	next, _ := o.Without(pattern)
	return *next
}

func TestDocumentKeepsWhatItDoesNotKnow(t *testing.T) {
	raw := []byte(`{"version":3,"node":"uk","at":"2026-03-02T12:00:00Z","later":{"x":1}}`)
	d, err := decodeDocument(raw)
	if err != nil || string(d.raw) != string(raw) {
		t.Fatalf("%s, %v", d.raw, err)
	}
	dir := t.TempDir()
	if err := keep(dir, d); err != nil {
		t.Fatal(err)
	}
	again, err := load(dir)
	if err != nil || string(again.raw) != string(raw) || again.stamp() != d.stamp() {
		t.Errorf("%s, %v", again.raw, err)
	}
}

func TestDocumentFaults(t *testing.T) {
	good := `{"version":3,"node":"uk","at":"2026-03-02T12:00:00Z","mode":"dr","overrides":[{"pattern":"*/us","state":"down","owner":"alice","reason":"","at":"2026-03-02T12:00:00Z"}]}`
	if _, err := decodeDocument([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for old, bad := range map[string]string{
		`"version":3`: `"version":0`, `:3`: `:-1`, `3,`: `9007199254740993,`, `"uk"`: `""`, `"dr"`: `"DR"`,
		`"2026-03-02T12:00:00Z","mode"`: `"yesterday","mode"`, `"down"`: `"dead"`, `"*/us"`: `"*/us/x/y"`, `"alice"`: `""`,
		good: strings.Repeat("[", 20_000), `"mode":"dr"`: `"mode":"dr","past":[{"version":0,"node":"x"}]`, `{"ver`: strings.Repeat(" ", maxDocument) + `{"ver`,
	} {
		if _, err := decodeDocument([]byte(strings.Replace(good, old, bad, 1))); err == nil {
			t.Errorf("%.40s instead of %.40s is taken", bad, old)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"version":3,"node":"uk","at":"2026-03-02T12:00:00Z","mode":"dr","mode_why":{"owner":"a","reason":"b","at":"2026-03-02T12:00:00Z"},"past":[{"version":2,"node":"us"}]}`))
	f.Add([]byte(`{"version":1,"node":"us","at":"2026-03-02T12:00:00Z","overrides":[{"pattern":"*/us","state":"down","until":"2027-01-01T00:00:00Z","owner":"alice"}],"releases":[{"pattern":"*","version":1,"owner":"bob"}]}`))
	f.Add([]byte(`{"document":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := decodeDocument(raw)
		if err != nil {
			return
		}
		again, err := encodeDocument(d.operator)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := encodeDocument(again.operator); err != nil || !bytes.Equal(second.raw, again.raw) {
			t.Fatalf("%v: %s\nnot %s", err, second.raw, again.raw)
		}
		next, err := successor(d.operator, "here", time.Now(), func(*steer.Operator) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if !descends(next, d.stamp()) || !next.Newer(d.operator) || len(lost(d.operator, next)) > len(d.operator.Overrides) {
			t.Fatalf("%+v after %+v", next, d.operator)
		}
	})
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	if d, err := load(dir); err != nil || d.stamp() != (steer.Stamp{}) {
		t.Fatalf("%+v, %v", d, err)
	}
	path := filepath.Join(dir, documentFile)
	if err := os.WriteFile(path, []byte(`{"version":`), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := load(dir)
	if d == nil || d.stamp() != (steer.Stamp{}) || err == nil || !strings.Contains(err.Error(), "set aside as "+path+".broken-") {
		t.Fatalf("%+v, %v", d, err)
	}
	aside, errGlob := filepath.Glob(path + ".broken-*")
	if errGlob != nil || len(aside) != 1 {
		t.Fatalf("%q, %v", aside, errGlob)
	}
	if b, err := os.ReadFile(aside[0]); err != nil || string(b) != `{"version":` {
		t.Errorf("%q, %v", b, err)
	}
	if d, err := load(dir); err != nil || d.stamp() != (steer.Stamp{}) {
		t.Errorf("after that: %+v, %v", d, err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // as good as a disk that does not answer
		t.Fatal(err)
	}
	if d, err := load(dir); d != nil || err == nil {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := New(Options{Name: "here", StateDir: dir}); err == nil {
		t.Error("a node starts without knowing what operators have said")
	}
}

func TestChangeThatCannotBeKeptIsNone(t *testing.T) {
	dir := t.TempDir()
	n, err := New(Options{Name: "here", StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.Change(t.Context(), func(o *steer.Operator) error { setMode("dr")(o); return nil }); err == nil {
		t.Fatal("changed, and not on disk")
	}
	if o := n.Operator(); o.Version != 0 || o.Mode != "" {
		t.Errorf("in force: %+v", o)
	}
	d, err := encodeDocument(version(t, &steer.Operator{}, "us", setMode("dr")))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.adopt(d, "us"); err == nil || n.Operator().Version != 0 {
		t.Errorf("taken over, and not on disk: %v", err)
	}
}

// A disk that is full is met with every report of another node.
func TestDiskFaultIsTheSameEachTime(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, documentFile), 0o700); err != nil { // nothing can be renamed to it
		t.Fatal(err)
	}
	d, err := encodeDocument(version(t, &steer.Operator{}, "us", setMode("dr")))
	if err != nil {
		t.Fatal(err)
	}
	one, two := keep(dir, d), keep(dir, d)
	if one == nil || two == nil || one.Error() != two.Error() {
		t.Errorf("%v\n%v", one, two)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
