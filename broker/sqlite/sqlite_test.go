package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchpoint/broker"
	"switchpoint/broker/storetest"
	"switchpoint/internal/covers"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(child(path))
	}
	goleak.VerifyTestMain(m)
}

func TestStore(t *testing.T) {
	covers.Req(t, "JQ1", "LV2", "LV4", "DC1", "PG3", "PG4", "CL7", "BR5", "SE2", "LS4")
	storetest.Run(t, func(t *testing.T) func() storetest.Store {
		path := filepath.Join(t.TempDir(), "broker.db")
		return func() storetest.Store {
			s, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}

// TestOpenAtOnce starts many processes' worth of handles on no file at all.
func TestOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if v, err := s.SetupVersion(t.Context()); err != nil || v != 0 {
				t.Error(v, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestFilesArePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b#c %41.db") // every character that a URI could misread
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AppendLog(t.Context(), broker.LogRow{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock", ".turn"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", suffix, info.Mode().Perm())
		}
	}
}

func TestPragmas(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "3"} {
		var got string
		if err := s.writer.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
	if _, err := s.readers.ExecContext(t.Context(), `DELETE FROM log`); err == nil {
		t.Error("a reader can write")
	}
}

// TestLostDatabase takes the file away in ways that happen.
func TestLostDatabase(t *testing.T) {
	t.Run("not a database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "broker.db")
		if err := os.WriteFile(path, []byte("this is a text file that is longer than a header of sixteen bytes"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no folder", func(t *testing.T) {
		if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "no", "broker.db"), Options{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("locked by another process", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "broker.db")
		s, err := Open(t.Context(), path, Options{BusyTimeout: 20e6})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		other, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		tx, err := other.writer.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AppendLog(t.Context(), broker.LogRow{ID: "x"}); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if _, err := s.SetupVersion(t.Context()); err != nil {
			t.Errorf("a reader waits for a writer: %v", err)
		}
		if _, err := s.RefreshPools(t.Context()); err != nil {
			t.Errorf("logins wait for a look at all desktops: %v", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendLog(t.Context(), broker.LogRow{ID: "x"}); err != nil {
			t.Errorf("it does not recover: %v", err)
		}
	})
}

// TestDeadlineAtCommit: a transaction that its context has ended was not committed, and that is
// the database's state, not a fault.
func TestDeadlineAtCommit(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	err = s.write(ctx, "write", func(x txn) error {
		cancel()
		for deadline := time.Now().Add(10 * time.Second); s.writer.Stats().InUse > 0; {
			if time.Now().After(deadline) {
				t.Fatal("the transaction is not rolled back")
			}
		}
		return nil
	})
	if !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestPurgeIsBounded: one Purge holds the writers up for a bounded number of rows.
func TestPurgeIsBounded(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.writer.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= ?)
		INSERT INTO log SELECT i, 0, '', '', '', '', '', '', '', 1, '', '', 0, '' FROM n`, purgeBatch); err != nil {
		t.Fatal(err)
	}
	keep := broker.Retention{Log: time.Hour, Sessions: time.Hour}
	for _, want := range []broker.Purged{{Log: purgeBatch, More: true}, {Log: 1}, {}} {
		if got, err := s.Purge(t.Context(), keep); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}
