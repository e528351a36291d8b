package outage

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

// way is one in which a database vanishes.
type way struct {
	name string
	gone func(*testing.T, *world)
	more func(*testing.T, *world) // what else befalls it in the outage; nil: nothing
	back func(*testing.T, *world)
}

// TestOutageEveryWayToVanish: however the database goes away, users go on signing in, none fails, and the
// mode says what is up within 3 s, or 41 s for whoever wants to be as patient as the original (LS9).
func TestOutageEveryWayToVanish(t *testing.T) {
	covers.Req(t, "LS9")
	s := newVanishing(t)
	ways := append(s.waysOfServer(), append(s.waysOfNetwork(), s.waysOfDatabase()...)...)
	if long() {
		ways = append(ways, s.waysAlike()...)
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) { s.open(t, broker.OutageFast, way.name == slowWay).endure(t, 3*time.Second, way) })
	}
	if !long() {
		return
	}
	for _, way := range []way{s.waysOfServer()[0], s.waysOfNetwork()[0]} {
		t.Run("citrix, "+way.name, func(t *testing.T) { s.open(t, broker.OutageCitrix, false).endure(t, 41*time.Second, way) })
	}
}

func (s *vanishing) waysOfServer() []way {
	start := func(*testing.T, *world) { s.server.Start() }
	return []way{
		{name: "killed", gone: func(*testing.T, *world) { s.server.Kill() }, back: start},
		{
			name: "stopped", gone: func(*testing.T, *world) { s.server.Pause() },
			back: func(*testing.T, *world) { s.server.Resume() },
		},
		{
			name: "out of connections",
			gone: func(t *testing.T, w *world) {
				w.leave = s.crowdOut(t)
				w.lost = w.status(t).Answered
			},
			back: func(_ *testing.T, w *world) { w.leave() },
		},
		{
			name: "read-only",
			gone: func(t *testing.T, _ *world) {
				s.maintain(t, `ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`)
			},
			back: func(t *testing.T, _ *world) {
				s.maintain(t, `ALTER SYSTEM RESET default_transaction_read_only`, `SELECT pg_reload_conf()`)
			},
		},
		{
			name: slowWay, gone: func(_ *testing.T, w *world) { w.cable.slow(3 * time.Second) },
			back: func(_ *testing.T, w *world) { w.cable.heal() },
		},
	}
}

// slowWay has a cable of its own.
const slowWay = "slow"

func (s *vanishing) waysOfNetwork() []way {
	heal := func(*testing.T, *world) { s.net.Heal() }
	return []way{
		{name: "silent", gone: func(*testing.T, *world) { s.net.Isolate(s.host) }, back: heal},
		{name: "half-open", gone: func(*testing.T, *world) { s.net.HalfOpen(s.host) }, back: heal},
		{ // with its host, which comes back before it does and knows of no connection
			name: "host lost", gone: func(*testing.T, *world) { s.net.Isolate(s.host) },
			more: func(t *testing.T, w *world) {
				s.host.Restart()
				s.net.Heal()
			},
			back: func(*testing.T, *world) { s.server.Start() },
		},
	}
}

func (s *vanishing) waysOfDatabase() []way {
	const offline = `ALTER DATABASE switchpoint ALLOW_CONNECTIONS false`
	return []way{
		{
			name: "refusing", gone: func(t *testing.T, _ *world) { s.maintain(t, `ALTER ROLE switchpoint NOLOGIN`, disconnect) },
			back: func(t *testing.T, _ *world) { s.maintain(t, `ALTER ROLE switchpoint LOGIN`) },
		},
		{
			name: "renamed", gone: func(t *testing.T, _ *world) {
				s.maintain(t, offline, disconnect, `ALTER DATABASE switchpoint RENAME TO away`)
			},
			back: func(t *testing.T, _ *world) {
				s.maintain(t, `ALTER DATABASE away RENAME TO switchpoint`, `ALTER DATABASE switchpoint ALLOW_CONNECTIONS true`)
			},
		},
		{ // an empty one in its place is none; then it comes back from the backup
			name: "dropped", gone: func(t *testing.T, _ *world) {
				s.maintain(t, offline, disconnect, `CREATE DATABASE backup TEMPLATE switchpoint`, `DROP DATABASE switchpoint`)
			},
			more: func(t *testing.T, w *world) {
				s.maintain(t, `CREATE DATABASE switchpoint OWNER switchpoint`)
				w.staysAway(t, 20)
			},
			back: func(t *testing.T, _ *world) {
				s.maintain(t, `DROP DATABASE switchpoint WITH (FORCE)`, `ALTER DATABASE backup RENAME TO switchpoint`, `ALTER DATABASE switchpoint OWNER TO switchpoint`, `ALTER DATABASE switchpoint ALLOW_CONNECTIONS true`)
			},
		},
	}
}

// waysAlike are those that look to a broker as another one does.
func (s *vanishing) waysAlike() []way {
	return []way{
		{name: "shut down", gone: func(*testing.T, *world) { s.server.Stop() }, back: func(*testing.T, *world) { s.server.Start() }},
		{
			name: "taken offline", gone: func(t *testing.T, _ *world) {
				s.maintain(t, `ALTER DATABASE switchpoint ALLOW_CONNECTIONS false`, disconnect)
			},
			back: func(t *testing.T, _ *world) { s.maintain(t, `ALTER DATABASE switchpoint ALLOW_CONNECTIONS true`) },
		},
	}
}

// TestOutageConnectionsForgotten: the database is there all the time, but not at the other end of the
// connections that the broker has: a firewall has lost its memory, or the server's host was restarted so fast
// that nobody saw it. Nobody fails to sign in.
func TestOutageConnectionsForgotten(t *testing.T) {
	covers.Req(t, "LS9")
	s := newVanishing(t)
	w := s.open(t, broker.OutageFast, false)
	for _, what := range []struct {
		name   string
		befall func()
	}{
		{"by a firewall", func() { s.forgetConnections(t) }},
		{"by the server's host", func() { s.host.Restart(); s.server.Start() }},
	} {
		c := w.startCrowd(t)
		c.goOn(t, "users sign in")
		c.enter(between)
		what.befall()
		began, lost := time.Now(), false
		for n := c.done(); c.done() < n+5*loginsPerSecond; time.Sleep(10 * time.Millisecond) {
			lost = lost || w.State().Mode.Local()
		}
		w.until(mode.Normal, 60*time.Second)
		c.enter(after)
		c.goOn(t, "users sign in as before")
		c.report(t, what.name)
		t.Logf("an outage was seen: %v; normal %s later", lost, time.Since(began).Round(10*time.Millisecond))
	}
	s.net.Heal()
}

// TestOutageNoRoom: the disk of the database is full.
func TestOutageNoRoom(t *testing.T) {
	covers.Req(t, "LS9")
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
		usual := os.TempDir()
		t.Setenv("TMPDIR", room)
		server := startServer(t)
		t.Setenv("TMPDIR", usual) // the broker's files have room
		w := newWorldOn(t, server)
		if _, err := w.cache.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		filler := filepath.Join(room, "filler")
		// Only logins that fail tell: the beat changes a row in its place, and what is left of PostgreSQL's
		// log takes some of them for a while.
		w.endure(t, 10*time.Second, way{gone: func(t *testing.T, _ *world) { fill(t, filler) }, back: func(t *testing.T, w *world) {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			w.server.Kill() // PostgreSQL that found no room for its log has stopped itself, or is about to
			w.server.Start()
		}})
	})
}
