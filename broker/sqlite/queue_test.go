package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/broker/storetest"
	"switchpoint/internal/covers"
)

func TestJobsProperty(t *testing.T) {
	covers.Req(t, "JQ1")
	path := filepath.Join(t.TempDir(), "broker.db")
	storetest.JobsProperty(t, func() storetest.Store {
		s, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}, 60)
}

// TestOneClock: no clock but the database's counts for jobs and members, so brokers whose clocks are
// ten minutes apart do as brokers whose clocks agree.
func TestOneClock(t *testing.T) {
	files, err := filepath.Glob("jobs*.go")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "cluster.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, clock := range []string{"time.Now", "time.Since", "time.Until"} {
			if strings.Contains(string(text), clock) {
				t.Errorf("%s asks its own clock: %s", file, clock)
			}
		}
	}
}

// BenchmarkQueue is the goal of 5,000 claims and reschedules a second.
func BenchmarkQueue(b *testing.B) {
	path := filepath.Join(b.TempDir(), "broker.db")
	storetest.Queue(b, func() storetest.Store {
		s, err := Open(b.Context(), path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}, 2)
}
