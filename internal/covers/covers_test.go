package covers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// fakeTB is a test whose end and outcome the caller decides.
type fakeTB struct {
	testing.TB
	failed, skipped bool
	fatal           string
	cleanups        []func()
}

func (f *fakeTB) Helper()                      {}
func (f *fakeTB) Name() string                 { return "TestFake/case" }
func (f *fakeTB) Failed() bool                 { return f.failed }
func (f *fakeTB) Skipped() bool                { return f.skipped }
func (f *fakeTB) Cleanup(fn func())            { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTB) Fatal(args ...any)            { f.fatal = fmt.Sprint(args...) }
func (f *fakeTB) Fatalf(s string, args ...any) { f.fatal = fmt.Sprintf(s, args...) }
func (f *fakeTB) Errorf(s string, args ...any) { f.fatal = fmt.Sprintf(s, args...) }
func (f *fakeTB) end() {
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.cleanups[i]()
	}
}

func records(t *testing.T, path string) []Record {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var recs []Record
	for line := range strings.Lines(string(data)) {
		var rec Record
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		recs = append(recs, rec)
	}
	return recs
}

func TestReqRecordsTheOutcome(t *testing.T) {
	tests := []struct {
		name string
		end  fakeTB
		want []Record
	}{
		{"passed", fakeTB{}, []Record{{"switchpoint/internal/covers", "TestFake/case", []string{"RD4", "GT1"}, true}}},
		{"failed", fakeTB{failed: true}, []Record{{"switchpoint/internal/covers", "TestFake/case", []string{"RD4", "GT1"}, false}}},
		{"skipped", fakeTB{skipped: true}, nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "records")
			t.Setenv(EnvFile, path)
			tb := &fakeTB{}
			Req(tb, "RD4", "GT1")
			if got := records(t, path); got != nil {
				t.Fatalf("recorded before the test ended: %v", got)
			}
			tb.failed, tb.skipped = tc.end.failed, tc.end.skipped
			tb.end()
			if got := records(t, path); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("records = %v, want %v", got, tc.want)
			}
			if tb.fatal != "" {
				t.Errorf("the test was failed: %s", tb.fatal)
			}
		})
	}
}

func TestReqRefusesMalformedIDs(t *testing.T) {
	t.Setenv(EnvFile, "")
	for _, ids := range [][]string{{}, {""}, {"RD"}, {"rd4"}, {"RD04"}, {"RDX4"}, {"RD4 "}, {"RD4", "R4"}} {
		tb := &fakeTB{}
		Req(tb, ids...)
		if tb.fatal == "" {
			t.Errorf("Req(%q) was accepted", ids)
		}
	}
}

func TestReqFailsTheTestWhenTheRecordIsLost(t *testing.T) {
	t.Setenv(EnvFile, filepath.Join(t.TempDir(), "no", "such", "folder"))
	tb := &fakeTB{}
	Req(tb, "RD4")
	tb.end()
	if !strings.Contains(tb.fatal, "open record file") {
		t.Errorf("failure = %q, want the record file named", tb.fatal)
	}
}

func TestRecordsOfParallelTestsDoNotMix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	const writers, each = 8, 50
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := appendRecord(path, Record{Package: strings.Repeat("p", 300), IDs: []string{"GT1"}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(records(t, path)); got != writers*each {
		t.Errorf("%d records, want %d", got, writers*each)
	}
}

func TestPackageOf(t *testing.T) {
	for function, want := range map[string]string{
		"switchpoint/gtm.TestResolve":                  "switchpoint/gtm",
		"switchpoint/gtm.TestResolve.func1":            "switchpoint/gtm",
		"switchpoint/gtm_test.TestResolve":             "switchpoint/gtm",
		"switchpoint/broker/api.(*harness).login":      "switchpoint/broker/api",
		"main.TestStory":                               "main",
		"example.com/dotted.path/inner.TestIt[...].f1": "example.com/dotted.path/inner",
	} {
		if got := packageOf(function); got != want {
			t.Errorf("packageOf(%q) = %q, want %q", function, got, want)
		}
	}
}

func TestLoadIDs(t *testing.T) {
	ids, err := LoadIDs()
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) == 0 {
		t.Fatal("ids.txt lists nothing")
	}
}

func TestParseIDs(t *testing.T) {
	got, err := ParseIDs([]byte("# comment\n\nGT1 open zone files\n GT2\trequired  steered names \n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []ID{{"GT1", "zone files", false}, {"GT2", "steered names", true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ids = %v, want %v", got, want)
	}
	for text, message := range map[string]string{
		"GT1 open":               `line 1: "GT1 open" is not of the form: ID state title`,
		"\ngt1 open x":           `line 2: "gt1" is not a requirement id`,
		"GT1 done x":             `line 1: GT1: state is "done", want required or open`,
		"GT1 open x\nGT1 open":   "line 2: \"GT1 open\" is not of the form: ID state title",
		"GT1 open x\nGT1 open y": "line 2: GT1 is listed twice",
	} {
		if _, err := ParseIDs([]byte(text)); err == nil || err.Error() != message {
			t.Errorf("ParseIDs(%q): error %v, want %s", text, err, message)
		}
	}
}
