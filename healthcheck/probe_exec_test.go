package healthcheck

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script writes a shell script and gives its path.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExec(t *testing.T) {
	allowed := Settings{AllowExec: true}
	t.Setenv("SECRET_OF_THE_PROCESS", "x")
	f := func(text string, state State, reason string, args ...string) Result {
		t.Helper()
		m := quick("exec")
		m.Command = append([]string{script(t, text)}, args...)
		timesOut := strings.HasPrefix(reason, "timed out")
		if timesOut {
			m.Timeout = 300 * time.Millisecond
		}
		r := Probe(t.Context(), m, "192.0.2.7:3389", allowed)
		if r.State != state || r.Reason != reason || r.TimedOut != timesOut || len(r.FirstBytes) > firstBytes {
			t.Errorf("got %s (%s), want %s (%s): %+v", r.State, r.Reason, state, reason, r)
		}
		if r.Total > 4*time.Second {
			t.Errorf("%s took %s", reason, r.Total)
		}
		return r
	}
	f("exit 0", Up, "exit status 0")
	f(`echo "$SWITCHPOINT_ADDRESS $SWITCHPOINT_HOST $SWITCHPOINT_PORT $SWITCHPOINT_MONITOR $PWD"`, Up, `exit status 0: "192.0.2.7:3389 192.0.2.7 3389 m /"`)
	f(`echo "[$SECRET_OF_THE_PROCESS]"; cat`, Up, `exit status 0: "[]"`)
	f(`echo "$1|$2"`, Up, `exit status 0: "$HOME; ls|*"`, "$HOME; ls", "*")
	r := f(`echo "disk full"; echo more >&2; exit 3`, Down, `exit status 3: "disk full"`)
	if string(r.FirstBytes) != "disk full\nmore\n" {
		t.Errorf("output %q", r.FirstBytes)
	}
	f(`kill -9 $$`, Down, "signal: killed")
	f(`echo waiting; sleep 60`, Down, `timed out, and the program was killed: "waiting"`)
	f(`trap "" TERM HUP INT; sleep 60 & wait; sleep 60`, Down, "timed out, and the program was killed")
	long := f(`head -c 10000000 /dev/zero | tr "\0" x`, Up, `exit status 0: "`+strings.Repeat("x", 60)+`"...`)
	if len(long.FirstBytes) != firstBytes {
		t.Errorf("%d bytes kept", len(long.FirstBytes))
	}
	m := quick("exec")
	m.Timeout, m.Command = 300*time.Millisecond, []string{script(t, "while :; do echo y; done")}
	if r := Probe(t.Context(), m, "a:1", allowed); r.Reason != `timed out, and the program was killed: "y"` || r.Total > 4*time.Second {
		t.Errorf("endless output: %+v", r)
	}
	m.Command = []string{"/nonexistent/check"}
	if r := Probe(t.Context(), m, "a:1", allowed); r.Reason != "cannot run /nonexistent/check: no such file or directory" {
		t.Errorf("%+v", r)
	}
	r = Probe(t.Context(), m, "a:1", Settings{})
	if r.State != Down || r.Reason != "the monitor is wrong: monitor[0].kind: monitors that run programs are switched off; write allow_exec = true in [health]" {
		t.Errorf("not allowed: %s", r.Reason)
	}
}

// Nothing that a probe started outlives it: neither what a killed program had started, nor what
// one that ended well left behind.
func TestExecLeavesNothing(t *testing.T) {
	for _, after := range []string{"wait", "exit 0"} {
		file := filepath.Join(t.TempDir(), "pid")
		m := quick("exec")
		m.Timeout, m.Command = 500*time.Millisecond, []string{script(t, "sleep 600 & echo $! >"+file+"; "+after)}
		r := Probe(t.Context(), m, "a:1", Settings{AllowExec: true})
		if (r.State == Up) != (after == "exit 0") {
			t.Errorf("%s: %s (%s)", after, r.State, r.Reason)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); alivePid(t, pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: process %d is still there", after, pid)
			}
		}
	}
}

// alivePid says whether a process runs; one that ended but that nobody has waited for does not.
func alivePid(t *testing.T, pid int) bool {
	t.Helper()
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestExecCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	m := quick("exec")
	m.Command = []string{script(t, "sleep 60")}
	if r := Probe(ctx, m, "a:1", Settings{AllowExec: true}); r.Reason != "the probe was cancelled, and the program was killed" || r.TimedOut || r.Total > 4*time.Second {
		t.Errorf("%+v", r)
	}
}
