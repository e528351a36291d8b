package outage

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"switchpoint/broker/outage/mode"
)

// TestEveryWayToVanish: however the database goes away, logins that come 100 times a second (10 under the race
// detector) go on, none
// fails, and the mode says what is up within 3 s (LS9).
func TestEveryWayToVanish(t *testing.T) {
	for _, way := range []struct {
		name string
		gone func(*testing.T, *world)
		back func(*testing.T, *world)
	}{
		{"killed", func(_ *testing.T, w *world) { w.server.Kill() }, func(_ *testing.T, w *world) { w.server.Start() }},
		{"shut down", func(_ *testing.T, w *world) { w.server.Stop() }, func(_ *testing.T, w *world) { w.server.Start() }},
		{"stopped", func(_ *testing.T, w *world) { w.server.Pause() }, func(_ *testing.T, w *world) { w.server.Resume() }},
		{"silent network", func(_ *testing.T, w *world) { w.cable.sever() }, func(_ *testing.T, w *world) { w.cable.heal() }},
		{"slow", func(_ *testing.T, w *world) { w.cable.slow(3 * time.Second) }, func(_ *testing.T, w *world) { w.cable.heal() }},
		{"read-only", func(_ *testing.T, w *world) {
			w.server.Exec(`ALTER SYSTEM SET default_transaction_read_only = on`)
			w.server.Exec(`SELECT pg_reload_conf()`)
		}, func(_ *testing.T, w *world) {
			w.server.Exec(`ALTER SYSTEM RESET default_transaction_read_only`)
			w.server.Exec(`SELECT pg_reload_conf()`)
		}},
		{"refusing", func(t *testing.T, w *world) {
			w.inMaintenance(t, `ALTER DATABASE switchpoint ALLOW_CONNECTIONS false`, disconnect)
		}, func(t *testing.T, w *world) { w.inMaintenance(t, `ALTER DATABASE switchpoint ALLOW_CONNECTIONS true`) }},
		{"renamed", func(t *testing.T, w *world) {
			w.inMaintenance(t, `ALTER DATABASE switchpoint ALLOW_CONNECTIONS false`, disconnect, `ALTER DATABASE switchpoint RENAME TO away`)
		}, func(t *testing.T, w *world) {
			w.inMaintenance(t, `ALTER DATABASE away RENAME TO switchpoint`, `ALTER DATABASE switchpoint ALLOW_CONNECTIONS true`)
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.cache.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.endure(t, 4*time.Second, way.gone, way.back)
		})
	}
}

// disconnect ends all connections to the database but the own.
const disconnect = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'switchpoint' AND pid <> pg_backend_pid()`

// inMaintenance runs statements from outside of the database that they are about.
func (w *world) inMaintenance(t *testing.T, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", w.server.SocketDir, w.server.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if _, err = db.ExecContext(t.Context(), s); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
}

// TestNoRoom: the disk of the database is full.
func TestNoRoom(t *testing.T) {
	room, err := os.MkdirTemp("", "small-disk-")
	if err == nil {
		err = os.Chmod(room, 0o755) // the server's own user must pass through
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(room) })
	if err := syscall.Mount("tmpfs", room, "tmpfs", 0, "size=160m"); err != nil {
		t.Fatalf("mount a small disk (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(room, 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("full", func(t *testing.T) {
		before := os.TempDir()
		t.Setenv("TMPDIR", room)
		server := startServer(t)
		t.Setenv("TMPDIR", before) // the broker's files have room
		w := newWorldOn(t, server)
		if _, err := w.cache.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		filler := filepath.Join(room, "filler")
		w.endure(t, 10*time.Second, func(t *testing.T, _ *world) { fill(t, filler) }, func(t *testing.T, w *world) {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			w.server.Kill() // PostgreSQL that found no room for its log has stopped itself, or is about to
			w.server.Start()
		})
	})
}

// fill takes all that is left of the disk.
func fill(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}

// tooLong for one login: a second for the database, and room for a machine that does other things, too.
const tooLong = 4 * time.Second

// endure has users sign in 100 times a second while the database goes and comes back;
// the mode has to say so within a time, which is longer where only failed logins tell that it is gone.
func (w *world) endure(t *testing.T, within time.Duration, gone, back func(*testing.T, *world)) {
	t.Helper()
	var done, failed, failedAfter, slow atomic.Int64
	var slowest atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	tick := time.NewTicker(loginsEvery * time.Millisecond)
	wg.Go(func() {
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			wg.Go(func() {
				r, _ := record(fmt.Sprint("user", i))
				began, m := time.Now(), w.State().Mode
				out, err := w.Login(context.WithoutCancel(ctx), r)
				took := time.Since(began)
				slowest.Store(max(slowest.Load(), int64(took)))
				if took > tooLong {
					slow.Add(1)
				}
				if err == nil && out.Session != nil {
					done.Add(1)
					return
				}
				failed.Add(1)
				if m.Local() {
					failedAfter.Add(1)
				}
				t.Logf("in mode %s after %s: %v", m, took, err)
			})
		}
	})
	eventually(t, "logins go on", 10*time.Second, func() bool { return done.Load() > 20 })
	before := time.Now()
	gone(t, w)
	switched := w.until(mode.HostCache, 10*time.Second)
	if took := time.Since(before); took > within {
		t.Errorf("the mode changed after %s", took)
	}
	n := done.Load()
	eventually(t, "logins go on without the database", 10*time.Second, func() bool { return done.Load() > n+30 })
	back(t, w)
	w.until(mode.Normal, 60*time.Second)
	stop()
	wg.Wait()
	t.Logf("host cache after %s; %d logins, %d failed, %d of them after the switch; slowest %s", switched.Round(10*time.Millisecond), done.Load(),
		failed.Load(), failedAfter.Load(), time.Duration(slowest.Load()).Round(time.Millisecond))
	if failed.Load() > 0 || slow.Load() > 0 {
		t.Errorf("%d logins failed, %d took longer than %s", failed.Load(), slow.Load(), tooLong)
	}
	if left := w.node.unmerged(); left > 0 {
		t.Errorf("%d acts are left", left)
	}
}
