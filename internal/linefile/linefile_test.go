package linefile

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// watched is a File with what it says.
type watched struct {
	*File
	t    *testing.T
	said bytes.Buffer
}

func watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{t: t}
	w.File = New(Options{
		Name: "the log", Log: slog.New(slog.NewTextHandler(&w.said, nil)),
		Lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "lost_total"}),
	})
	t.Cleanup(w.Close)
	return w
}

// put follows a path and writes one line there.
func (w *watched) put(path, line string) {
	w.Follow(path)
	w.Write([]byte(line+"\n"), 1)
}

func (w *watched) wantLost(n float64) {
	w.t.Helper()
	if got := testutil.ToFloat64(w.Lost); got != n {
		w.t.Errorf("%v lines are counted as lost, want %v", got, n)
	}
}

// wantSaid compares the levels of all that was said.
func (w *watched) wantSaid(levels ...string) {
	w.t.Helper()
	var got []string
	for line := range strings.Lines(w.said.String()) {
		_, level, _ := strings.Cut(line, "level=")
		level, _, _ = strings.Cut(level, " ")
		got = append(got, level)
	}
	if strings.Join(got, " ") != strings.Join(levels, " ") {
		w.t.Errorf("said %v, want %v:\n%s", got, levels, &w.said)
	}
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%s has %q, %v; want %q", path, text, err, want)
	}
}

// TestRotation: lines follow the path, whatever becomes of the file that was there.
func TestRotation(t *testing.T) {
	w := watch(t)
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.put(path, "1")
	w.put(path, "2")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("3\n4\n"), 2) // nobody has looked yet
	w.put(path, "5")
	wantText(t, path+".1", "before\n1\n2\n3\n4\n")
	wantText(t, path, "5\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o137 != 0 {
		t.Errorf("a new file is for its owner and readable for its group: %v, %v", info.Mode(), err)
	}

	if err := os.WriteFile(other, []byte("theirs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil { // another file in its place
		t.Fatal(err)
	}
	w.put(path, "6")
	wantText(t, path, "theirs\n6\n")
	w.put(other, "7")
	wantText(t, other, "7\n")
	w.put("", "nowhere")
	w.put(path, "8")
	w.Close()
	w.Write([]byte("9\n"), 1)
	w.Write(nil, 0)
	wantText(t, path, "theirs\n6\n8\n9\n")
	wantText(t, other, "7\n")
	w.wantLost(0)
	w.wantSaid()
}

// TestFullDisk: a disk that is full is reported once, what is lost is counted, and after it lines are
// written again.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatalf("a device that is always full is needed: %v", err)
	}
	w := watch(t)
	for range 3 {
		w.Follow("/dev/full")
		w.Write([]byte("x\ny\n"), 2)
	}
	w.wantLost(6)
	w.wantSaid("ERROR")
	if said := w.said.String(); !strings.Contains(said, "the log cannot be written") || !strings.Contains(said, "no space left") || !strings.Contains(said, "file=/dev/full") {
		t.Errorf("said %s", said)
	}
	path := filepath.Join(t.TempDir(), "q.log")
	w.put(path, "whole")
	w.put(path, "next")
	wantText(t, path, "whole\nnext\n")
	w.wantSaid("ERROR", "INFO")
	w.put(filepath.Join(path, "no", "folder"), "x")
	w.wantLost(7)
	w.wantSaid("ERROR", "INFO", "ERROR")
}
