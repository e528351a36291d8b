//go:build unix

package linefile

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestTornLine: behind a line that broke off the next one starts on a line of its own, also where the
// break could not be ended at the first try.
func TestTornLine(t *testing.T) {
	w := watch(t)
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	w.Follow(path)
	reader := openPipe(t, path)
	long := append(bytes.Repeat([]byte("x"), 1<<20), '\n') // more than a pipe holds
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Write(long, 1)
	}()
	if _, err := io.ReadFull(reader, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	_ = reader.Close() // the write ends within the line
	<-done
	w.wantLost(1)
	w.wantSaid("ERROR")

	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("lost\n"), 1)
	w.wantLost(2)
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}

	reader = openPipe(t, path)
	w.put(path, "next")
	w.put(path, "last")
	w.Close()
	const want = "\nnext\nlast\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(reader, got); err != nil || string(got) != want {
		t.Errorf("read %q, %v", got, err)
	}
	w.wantLost(2)
	w.wantSaid("ERROR", "INFO")
}

// openPipe gives the reading end of a named pipe. It waits for no writer: it could be one itself.
func openPipe(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return f
}
