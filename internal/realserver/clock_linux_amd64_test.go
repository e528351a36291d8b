package realserver

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	asSkewed = "REALSERVER_TEST_SKEWED" // run the test below in a child with another clock
	asClock  = "REALSERVER_TEST_CLOCK"  // print the time from several threads
)

// TestRunSkewed: a program sees another time of day, its monotonic clock goes on as ever, and so does the
// clock of everybody else.
func TestRunSkewed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case os.Getenv(asClock) != "":
		printTimes()
		os.Exit(7)
	case os.Getenv(asSkewed) != "":
		t.Setenv(asClock, "1")
		code, err := RunSkewed(-10*time.Minute, self, "-test.run=^TestRunSkewed$")
		if err != nil {
			t.Fatal(err)
		}
		os.Exit(code)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestRunSkewed$")
	cmd.Env = append(os.Environ(), asSkewed+"=1")
	before := time.Now()
	out, err := cmd.CombinedOutput()
	after := time.Now()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Fields(string(bytes.TrimSpace(out)))
	if len(lines) != 8 {
		t.Fatalf("it printed %q", out)
	}
	for _, l := range lines {
		ns, err := strconv.ParseInt(l, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if at := time.Unix(0, ns).Add(10 * time.Minute); at.Before(before) || at.After(after) {
			t.Errorf("with ten minutes it is %s there, between %s and %s here", at, before, after)
		}
	}
}

// printTimes asks from threads of their own.
func printTimes() {
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := time.Now()
	for range 8 {
		wg.Go(func() {
			for time.Since(begin) < 100*time.Millisecond {
			}
			mu.Lock()
			defer mu.Unlock()
			_, _ = os.Stdout.WriteString(strconv.FormatInt(time.Now().UnixNano(), 10) + "\n")
		})
	}
	wg.Wait()
}
