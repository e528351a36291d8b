package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/internal/covers"
)

var listed = []covers.ID{
	{ID: "GT1", Title: "zone files"},
	{ID: "GT2", Title: "steered names", Required: true},
}

func record(test string, passed bool, ids ...string) covers.Record {
	return covers.Record{Package: "switchpoint/gtm", Test: test, IDs: ids, Passed: passed}
}

func TestCollate(t *testing.T) {
	tests := []struct {
		name    string
		records []covers.Record
		states  string // of GT1 and GT2
		problem string // "" = none
	}{
		{"both covered", []covers.Record{record("TestA", true, "GT1", "GT2")}, "passes passes", ""},
		{"open without a test", []covers.Record{record("TestA", true, "GT2")}, "open passes", ""},
		{"required without a test", []covers.Record{record("TestA", true, "GT1")}, "passes missing",
			"GT2 (steered names) is required and has no passing test"},
		{"required with a failing test", []covers.Record{record("TestA", false, "GT2")}, "open fails",
			"GT2 (steered names) is required and has no passing test"},
		{"one of two tests fails", []covers.Record{record("TestA", true, "GT2"), record("TestB", false, "GT2")}, "open fails",
			"GT2 (steered names) is required and has no passing test"},
		{"a test that failed once fails", []covers.Record{record("TestA", false, "GT2"), record("TestA", true, "GT2")}, "open fails",
			"GT2 (steered names) is required and has no passing test"},
		{"unknown id", []covers.Record{record("TestA", true, "GT2", "ZZ9")}, "open passes",
			"gtm TestA names ZZ9, which is not in ids.txt"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			cov, err := collate(listed, tc.records)
			if got := cov[0].state() + " " + cov[1].state(); got != tc.states {
				t.Errorf("states = %s, want %s", got, tc.states)
			}
			switch {
			case tc.problem == "" && err != nil:
				t.Errorf("unexpected problem: %v", err)
			case tc.problem != "" && (err == nil || err.Error() != tc.problem):
				t.Errorf("problem = %v, want %s", err, tc.problem)
			}
		})
	}
}

func TestPageDoesNotDependOnTheOrderOfRecords(t *testing.T) {
	recs := []covers.Record{record("TestB", true, "GT2", "GT1"), record("TestA", true, "GT2")}
	first, err := collate(listed, recs)
	if err != nil {
		t.Fatal(err)
	}
	recs[0], recs[1] = recs[1], recs[0]
	second, err := collate(listed, recs)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.page(), second.page()) {
		t.Errorf("pages differ:\n%s\n%s", first.page(), second.page())
	}
	if want := "| GT2 | steered names | passes | `gtm TestA`<br>`gtm TestB` |\n"; !strings.Contains(string(first.page()), want) {
		t.Errorf("page lacks %q:\n%s", want, first.page())
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	recs, page := filepath.Join(dir, "records"), filepath.Join(dir, "coverage.md")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Every id of the real list passes, so the outcome does not depend on
	// which of them are required today.
	ids, err := covers.LoadIDs()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, id := range ids {
		all.WriteString(`{"package":"switchpoint/gtm","test":"TestX","ids":["` + id.ID + `"],"passed":true}` + "\n")
	}
	write(recs, all.String())
	if err := run([]string{"-records", recs, "-out", page}, io.Discard); err != nil {
		t.Fatalf("write: %v", err)
	}
	if err := run([]string{"-check", "-records", recs, "-out", page}, io.Discard); err != nil {
		t.Errorf("the page just written does not match: %v", err)
	}
	write(page, "edited by hand")
	if err := run([]string{"-check", "-records", recs, "-out", page}, io.Discard); err == nil {
		t.Error("a page edited by hand was accepted")
	}
	write(recs, "{broken\n")
	if err := run([]string{"-records", recs, "-out", page}, io.Discard); err == nil || !strings.Contains(err.Error(), "records:1:") {
		t.Errorf("broken record: error %v, want its line", err)
	}
	if err := run([]string{"-out", page}, io.Discard); err == nil {
		t.Error("a run without records was accepted")
	}
}
