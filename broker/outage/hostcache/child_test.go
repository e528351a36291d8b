package hostcache

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"switchpoint/broker/postgres"
	"switchpoint/broker/sqlite"
)

// childEnv makes the test binary a process that synchronises once.
const childEnv = "SWITCHPOINT_HOSTCACHE_CHILD"

// childTask is what the process does.
type childTask struct {
	Postgres string `json:",omitempty"` // URL of the database, or
	SQLite   string `json:",omitempty"` // its file
	Dir      string
	Kill     string `json:",omitempty"` // the step after which it kills itself
}

// childReport is what it says.
type childReport struct {
	Synced
	PeakKB int           // most memory that it had at once
	CPU    time.Duration // that it has used
}

func child(text string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var task childTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var source store
	var err error
	if task.Postgres != "" {
		source, err = postgres.Open(ctx, postgres.Options{URL: task.Postgres})
	} else {
		source, err = sqlite.Open(ctx, task.SQLite, sqlite.Options{})
	}
	if err != nil {
		return fail(err)
	}
	defer source.Close()
	c, err := New(Options{Source: source, Dir: task.Dir, step: func(step string) {
		if step == task.Kill {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	if err != nil {
		return fail(err)
	}
	var report childReport
	if report.Synced, err = c.Sync(ctx); err != nil {
		return fail(err)
	}
	if report.PeakKB, err = peakMemory(); err != nil {
		return fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return fail(err)
	}
	return 0
}

// peakMemory is the most resident memory that this process had, in KB.
func peakMemory() (kb int, err error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, err := fmt.Sscan(rest, &kb)
			return kb, err
		}
	}
	return 0, fmt.Errorf("no VmHWM in /proc/self/status")
}

// runChild runs the task; killed says that it died by the signal.
func runChild(t testing.TB, task childTask) (report childReport, killed bool) {
	t.Helper()
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return report, true
	}
	if err != nil {
		t.Fatalf("child: %v", err)
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	report.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return report, false
}
