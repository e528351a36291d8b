package sites

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBrokenStateFileIsSetAside(t *testing.T) {
	good, err := mustSet(t, siteObj("Prague"), siteObj("Brno"), subnetObj("10.0.0.0/8", "Prague"), linkObj("l", "5", "Prague", "Brno")).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(old, text string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.ReplaceAll(string(good), old, text)
	}
	for name, text := range map[string]string{
		"empty":           "",
		"cut off":         string(good[:len(good)/2]),
		"unknown field":   replaced(`"transitive"`, `"transit"`),
		"no sites":        `{"source":"x","sites":[]}`,
		"two of a name":   replaced(`"Brno"`, `"PRAGUE"`),
		"host bits":       replaced("10.0.0.0/8", "10.0.0.1/8"),
		"no prefix":       replaced("10.0.0.0/8", ""),
		"subnet twice":    replaced(`[{"prefix":"10.0.0.0/8","site":"Prague"}]`, `[{"prefix":"10.0.0.0/8","site":"Prague"},{"prefix":"10.0.0.0/8","site":"Brno"}]`),
		"not in order":    replaced(`[{"prefix":"10.0.0.0/8","site":"Prague"}]`, `[{"prefix":"11.0.0.0/8","site":"Prague"},{"prefix":"10.0.0.0/8","site":"Brno"}]`),
		"unknown site":    replaced(`"site":"Prague"`, `"site":"Vienna"`),
		"unknown in link": replaced(`["Brno","Prague"]`, `["Vienna","Prague"]`),
		"negative cost":   replaced(`"cost":5`, `"cost":-5`),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var log journal
		w, err := New(Options{LDIF: "export.ldif", StateDir: dir, Log: log.logger()})
		if err != nil || w.Current() != nil || log.count("was set aside as") != 1 {
			t.Errorf("%s: %v, set %v", name, err, w.Current())
		}
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(left) != 1 || !strings.Contains(left[0], stateFile+".broken-") {
			t.Errorf("%s: files %v", name, left)
		} else if kept, err := os.ReadFile(left[0]); err != nil || string(kept) != text {
			t.Errorf("%s: the file that was set aside is changed: %v", name, err)
		}
	}
}
