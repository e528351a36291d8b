package pgserver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/bench/pgserver"
)

// folder is one that the server's user can enter.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "switchpoint-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "postgres")
}

func TestServer(t *testing.T) {
	s, err := pgserver.Start(t.Context(), pgserver.Options{
		Dir: folder(t), Addr: "127.0.0.1:0", Password: "it's one", Settings: map[string]string{"max_connections": "17"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	for sql, want := range map[string]string{
		"SHOW max_connections": "17", "SHOW fsync": "on", "SELECT 'a', 1": "a|1",
		"SHOW listen_addresses": "127.0.0.1",
	} {
		if got, err := s.SQL(t.Context(), "postgres", sql); err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", sql, got, err, want)
		}
	}
	if _, err := s.SQL(t.Context(), "postgres", "SELECT 1/0"); err == nil || !strings.Contains(err.Error(), "division by zero") {
		t.Errorf("SQL that fails: %v", err)
	}
	// Over TCP it takes the password, and no other.
	for url, want := range map[string]bool{s.URL("postgres"): true, strings.Replace(s.URL("postgres"), "one", "two", 1): false} {
		if _, err := s.Run(t.Context(), "psql", "--no-psqlrc", "--command=SELECT 1", url); (err == nil) != want {
			t.Errorf("over TCP: %v", err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", s.Addr); err == nil {
		c.Close()
		t.Error("a stopped server takes connections")
	}
}

func TestServerThatCannotStart(t *testing.T) {
	dir := folder(t)
	_, err := pgserver.Start(t.Context(), pgserver.Options{Dir: dir, Addr: "127.0.0.1:0", Password: "x", Settings: map[string]string{"shared_buffers": "plenty"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
		t.Errorf("a bad setting: %v", err)
	}
	if _, err := pgserver.Start(t.Context(), pgserver.Options{Dir: dir, Addr: "127.0.0.1:0", Password: "x"}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a folder that is in use: %v", err)
	}
	t.Setenv("PATH", "")
	if _, err := pgserver.Program("no-such-program"); !errors.Is(err, pgserver.ErrNotInstalled) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestVanish: a server that is paused or killed answers nobody, and has all its rows when it is back.
func TestVanish(t *testing.T) {
	s, err := pgserver.Start(t.Context(), pgserver.Options{Dir: folder(t), Addr: "127.0.0.1:0", Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	if _, err := s.SQL(t.Context(), "postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.SQL(ctx, "postgres", "SELECT 1")
		return err
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if ask() == nil {
		t.Error("a paused server answers")
	}
	s.Resume()
	if got, err := s.SQL(t.Context(), "postgres", "SELECT n FROM kept"); err != nil || got != "1" {
		t.Errorf("after a pause: %q, %v", got, err)
	}
	addr := s.Addr
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if ask() == nil {
		t.Error("a killed server answers")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.SQL(t.Context(), "postgres", "SELECT n FROM kept"); err != nil || got != "1" || s.Addr != addr {
		t.Errorf("after it was killed: %q, %v, at %s", got, err, s.Addr)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Errorf("stop a paused server: %v", err)
	}
}
