package keptfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const name = "state.json"

// read gives what Read hands over, empty when there is nothing.
func read(t *testing.T, dir string) string {
	t.Helper()
	var got string
	if err := Read(dir, name, 100, func(b []byte) error { got = string(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func write(t *testing.T, dir, content string) {
	t.Helper()
	if err := Write(dir, name, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

// wantFiles compares the names in a directory.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the directory has %v, want %v", got, want)
	}
}

func TestWriteAndRead(t *testing.T) {
	dir := t.TempDir()
	if got := read(t, dir); got != "" {
		t.Errorf("there is no file, and %q was read", got)
	}
	write(t, dir, "one")
	write(t, dir, "2")
	if got := read(t, dir); got != "2" {
		t.Errorf("read %q", got)
	}
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	wantFiles(t, dir, name)
}

// TestCrashInBetween: whatever a writer that died left beside the file, the file is the old one, and the
// next write goes through.
func TestCrashInBetween(t *testing.T) {
	for _, left := range []string{"", "ne", strings.Repeat("much more than the next content", 99)} {
		dir := t.TempDir()
		write(t, dir, "old")
		if err := os.WriteFile(filepath.Join(dir, name+".new"), []byte(left), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := read(t, dir); got != "old" {
			t.Errorf("read %q", got)
		}
		write(t, dir, "next")
		if got := read(t, dir); got != "next" {
			t.Errorf("read %q", got)
		}
		wantFiles(t, dir, name)
	}
}

// TestWholeAtAnyTime: who reads while others are written gets one of them, whole.
func TestWholeAtAnyTime(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, strings.Repeat("a", 90))
	done := make(chan error, 1)
	go func() {
		for i := range 50 {
			if err := Write(dir, name, bytes.Repeat([]byte{'a' + byte(i%2)}, 90)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		if got := read(t, dir); len(got) != 90 || strings.Trim(got, got[:1]) != "" {
			t.Fatalf("read %q", got)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// TestFullDisk: nothing changes and nothing is left over, and the error is the same each time.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "old")
	var first string
	for range 2 {
		if err := os.Symlink("/dev/full", filepath.Join(dir, name+".new")); err != nil { // every write there finds no room
			t.Fatal(err)
		}
		err := Write(dir, name, []byte("next"))
		if !errors.Is(err, syscall.ENOSPC) || first != "" && err.Error() != first {
			t.Errorf("%v", err)
		}
		first = err.Error()
		wantFiles(t, dir, name)
		if got := read(t, dir); got != "old" {
			t.Errorf("read %q", got)
		}
	}
	if err := Write(filepath.Join(dir, "gone"), name, nil); err == nil || !strings.HasPrefix(err.Error(), "write "+name+": ") {
		t.Errorf("no directory: %v", err)
	}
}

// TestSetAside: what cannot be used goes out of the way with its content; what cannot be read stays.
func TestSetAside(t *testing.T) {
	broken := errors.New("no state")
	for content, refuse := range map[string]error{"{": broken, strings.Repeat("x", 101): nil} {
		dir := t.TempDir()
		write(t, dir, content)
		err := Read(dir, name, 100, func([]byte) error { return refuse })
		if !errors.Is(err, ErrSetAside) || refuse != nil && !errors.Is(err, refuse) {
			t.Fatalf("%v", err)
		}
		aside, err2 := filepath.Glob(filepath.Join(dir, name+".broken-*"))
		if err2 != nil || len(aside) != 1 || !strings.Contains(err.Error(), aside[0]) {
			t.Fatalf("set aside %v, %v; said %v", aside, err2, err)
		}
		if b, err := os.ReadFile(aside[0]); err != nil || string(b) != content {
			t.Errorf("%q, %v", b, err)
		}
		if got := read(t, dir); got != "" {
			t.Errorf("the next start reads %q", got)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Read(dir, name, 100, func([]byte) error { return nil }); err == nil || errors.Is(err, ErrSetAside) {
		t.Errorf("a directory: %v", err)
	}
	wantFiles(t, dir, name)
}
