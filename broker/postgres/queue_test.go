package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/broker/storetest"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

func TestJobsProperty(t *testing.T) {
	covers.Req(t, "JQ1")
	server := realserver.Postgres(t, realserver.PostgresOptions{})
	storetest.JobsProperty(t, func() storetest.Store { return open(t, Options{URL: server.DSN}) }, 20)
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

// BenchmarkQueue is the goal of 8,000 claims and reschedules a second.
func BenchmarkQueue(b *testing.B) {
	server := realserver.Postgres(b, realserver.PostgresOptions{})
	storetest.Queue(b, func() storetest.Store {
		s, err := Open(b.Context(), Options{URL: server.DSN})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}, 3)
}
