package covers

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// EnvFile names the environment variable that holds the path of the record
// file. Without it Req only checks the form of its ids.
const EnvFile = "SWITCHPOINT_COVERS"

var idForm = regexp.MustCompile(`^[A-Z]{2}[1-9][0-9]*$`)

// Record is one finished test and the requirement ids that it covers.
type Record struct {
	Package string   `json:"package"`
	Test    string   `json:"test"`
	IDs     []string `json:"ids"`
	Passed  bool     `json:"passed"`
}

// Req declares that the calling test covers the requirements ids, each two
// capital letters and a number. Call it first in the test: what it records is
// decided by the last of the test's cleanups. A malformed id fails the test.
func Req(t testing.TB, ids ...string) {
	t.Helper()
	if len(ids) == 0 {
		t.Fatal("covers.Req needs at least one requirement id")
		return
	}
	for _, id := range ids {
		if !ValidID(id) {
			t.Fatalf("covers.Req: %q is not a requirement id (two capital letters and a number, such as GT1)", id)
			return
		}
	}
	path := os.Getenv(EnvFile)
	if path == "" {
		return
	}
	rec := Record{Package: callerPackage(), Test: t.Name(), IDs: slices.Clone(ids)}
	t.Cleanup(func() {
		if t.Skipped() {
			return
		}
		rec.Passed = !t.Failed()
		if err := appendRecord(path, rec); err != nil {
			t.Errorf("record covered requirements: %v", err)
		}
	})
}

// ValidID reports whether id has the form of a requirement id.
func ValidID(id string) bool { return idForm.MatchString(id) }

func appendRecord(path string, rec Record) error {
	line, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open record file: %w", err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		_ = f.Close() // the write error is the one worth telling
		return fmt.Errorf("append record: %w", err)
	}
	return f.Close()
}

// callerPackage returns the import path of the first caller outside this
// file's functions. An external test package (path_test) counts as path.
func callerPackage() string {
	pc := make([]uintptr, 1)
	const skip = 3 // runtime.Callers, callerPackage, Req
	if runtime.Callers(skip, pc) == 0 {
		return "unknown"
	}
	frame, _ := runtime.CallersFrames(pc).Next()
	return packageOf(frame.Function)
}

// packageOf cuts a function's full name (a/b/c_test.TestX.func1) to its import
// path (a/b/c).
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	if dot := strings.IndexByte(function[slash:], '.'); dot >= 0 {
		function = function[:slash+dot]
	}
	return strings.TrimSuffix(function, "_test")
}
