package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	d := serve(t, nil)
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	u := d.DSN
	d.Stop()
	if _, err := s.Login(t.Context(), record("a")); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a stopped server: %v", err)
	}
	if _, err := Open(t.Context(), Options{URL: u}); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("open: %v", err)
	}
	if _, err := Open(t.Context(), Options{URL: u, Password: "wrong"}); err == nil || strings.Contains(err.Error(), "postgres-secret") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("open with a wrong password: %v", err)
	}
	d.Start()
	if _, err := s.SetupVersion(t.Context()); err != nil {
		t.Errorf("it does not recover: %v", err)
	}
	if _, err := Open(t.Context(), Options{URL: u, Password: "wrong"}); !errors.Is(err, broker.ErrUnavailable) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("open with a wrong password: %v", err)
	}
}

// readOnly closes the database for writing under the store, and opens it again.
func readOnly(t *testing.T, d *databases) {
	u := d.fresh(t, d.DSN)
	s := open(t, Options{URL: u})
	fill(t, s, 3)
	name := u[strings.LastIndex(u, "/")+1 : strings.Index(u, "?")]
	d.Exec("ALTER DATABASE " + name + " SET default_transaction_read_only = on")
	s.pool.Reset()
	if _, err := s.Login(t.Context(), record("a")); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("read-only: %v", err)
	}
	d.Exec("ALTER DATABASE " + name + " RESET default_transaction_read_only")
	if _, err := s.Login(t.Context(), record("a")); err != nil {
		t.Errorf("it does not recover: %v", err)
	}
	// A connection that becomes read-only in use is replaced, and the call does not notice.
	_ = s.ask(t.Context(), "spoil", func(l link) error { _, err := l.exec(`SET default_transaction_read_only = on`); return err })
	if _, err := s.Login(t.Context(), record("b")); err != nil {
		t.Errorf("a read-only connection was kept: %v", err)
	}
}

// TestSilent stops the server without a word: every call ends with its deadline, and the store works
// as soon as the server does.
func TestSilent(t *testing.T) {
	t.Parallel()
	d := serve(t, nil)
	s := open(t, Options{URL: d.fresh(t, d.DSN), QueryTimeout: time.Second})
	fill(t, s, 3)
	d.Pause()
	start := time.Now()
	calls := map[string]func(context.Context) error{
		"login":   func(ctx context.Context) error { _, err := s.Login(ctx, record("a")); return err },
		"session": func(ctx context.Context) error { _, err := s.Session(ctx, [32]byte{}); return err },
		"purge":   func(ctx context.Context) error { _, err := s.Purge(ctx, broker.Retention{}); return err },
	}
	var wg sync.WaitGroup
	for name, call := range calls {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if err := call(ctx); !errors.Is(err, broker.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			if err := call(t.Context()); !errors.Is(err, broker.ErrUnavailable) { // the store's own deadline
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("two calls took %s", took)
	}
	d.Resume()
	recovers(t, s)
}

func recovers(t *testing.T, s *Store) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, err := s.Login(t.Context(), record("again"))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not recover: %v", err)
		}
	}
}

// TestTooManyConnections: a store that gets no connection waits a little for one.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	d := serve(t, map[string]string{"max_connections": "10", "superuser_reserved_connections": "0"})
	u := d.fresh(t, d.DSN)
	s := open(t, Options{URL: u})
	s.pool.Reset()
	s.aside.Reset()
	var held []*pgx.Conn
	release := func() {
		for _, c := range held {
			closeConn(c)
		}
		held = nil
	}
	defer release()
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := pgx.Connect(t.Context(), u)
		if err == nil {
			held = append(held, c)
			continue
		}
		if len(held) >= 10 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if _, err := s.SetupVersion(t.Context()); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("no connection is left: %v", err)
	}
	release()
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, err := s.SetupVersion(t.Context())
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// retry: a transaction that the server gave up for another one's sake starts anew, whole.
func retry(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	exec(t, s, `CREATE TABLE counter (n integer); INSERT INTO counter VALUES (0)`)
	tries := 0
	err := s.write(t.Context(), "count", func(l link) error {
		tries++
		if _, err := l.exec(`UPDATE counter SET n = n + 1`); err != nil || tries > 2 {
			return err
		}
		_, err := l.exec(`DO $$ BEGIN RAISE 'conflict' USING ERRCODE = '40001'; END $$`)
		return err
	})
	var n int
	if err := errors.Join(err, s.pool.QueryRow(t.Context(), `SELECT n FROM counter`).Scan(&n)); err != nil || tries != 3 || n != 1 {
		t.Errorf("%d tries, counted to %d: %v", tries, n, err)
	}
	tries = 0
	err = s.write(t.Context(), "fail", func(l link) error {
		tries++
		_, err := l.exec(`DO $$ BEGIN RAISE 'conflict' USING ERRCODE = '40P01'; END $$`)
		return err
	})
	if !errors.Is(err, broker.ErrUnavailable) || tries != maxAttempts {
		t.Errorf("%d tries: %v", tries, err)
	}
}

// cancelled: when a call's time is over, the server stops its statement too.
func cancelled(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := s.once(ctx, "sleep", func(l link) error { _, err := l.exec(`SELECT pg_sleep(60)`); return err })
	if !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	for deadline := time.Now().Add(20 * time.Second); d.Exec(`SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'`) != "0"; {
		if time.Now().After(deadline) {
			t.Fatal("the statement goes on")
		}
	}
}

// TestRestartUnderLoad kills the server twice under logins: they go on by themselves, and nothing
// that was acknowledged is lost.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	d := serve(t, nil)
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	fill(t, s, 3)
	l := newLoad(s)
	for range 2 {
		l.more(t, 50)
		d.Kill()
		d.Start()
	}
	l.more(t, 50)
	l.check(t, s)
}
