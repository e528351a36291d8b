package outage

import (
	"errors"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/hostcache"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

// TestThroughAnOutage: the database is killed under a broker, everybody gets in, and afterwards the
// database has all of it.
func TestThroughAnOutage(t *testing.T) {
	covers.Req(t, "HC1")
	w := newWorld(t)
	if out, err := w.cache.Sync(t.Context()); err != nil || out.Result == hostcache.Empty {
		t.Fatal(out, err)
	}
	before, offers, beforeHash, _ := w.login("carl")
	held, err := w.connect(before, offers[0])
	if err != nil {
		t.Fatal(err)
	}
	w.until(mode.Normal, 5*time.Second)
	if _, err := w.cache.Sync(t.Context()); err != nil { // who holds what is refreshed with every look
		t.Fatal(err)
	}

	w.server.Kill()
	killed := time.Now()
	during, ownOffers, duringHash, took := w.login("anna")
	if took > databaseWait+500*time.Millisecond {
		t.Errorf("the first login after the database was killed took %s", took)
	}
	w.until(mode.HostCache, 10*time.Second)
	t.Logf("host cache after %s, first login in %s", time.Since(killed).Round(time.Millisecond), took.Round(time.Millisecond))
	if c, err := w.connect(during, ownOffers[0]); err != nil || c.Name != "anna-pc" {
		t.Errorf("her own desktop: %+v, %v", c, err)
	}
	if _, err := w.connect(during, ownOffers[1]); !errors.Is(err, broker.ErrNoDesktop) {
		t.Errorf("a desktop out of a pool: %v", err)
	}
	if s, err := w.Session(t.Context(), beforeHash); err != nil || s.ID != before.ID {
		t.Errorf("the session from before: %+v, %v", s, err)
	}
	if c, err := w.connect(before, offers[0]); err != nil || c.ID != held.ID {
		t.Errorf("the desktop that he holds: %+v, %v", c, err)
	}
	ended, _, endedHash, took := w.login("dora")
	if err := w.logout(ended); err != nil || took > 500*time.Millisecond {
		t.Errorf("login in %s, logout: %v", took, err)
	}
	if _, err := w.Session(t.Context(), endedHash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a session that has ended: %v", err)
	}

	w.server.Start()
	w.until(mode.Normal, 60*time.Second)
	if n := w.node.unmerged(); n != 0 {
		t.Errorf("%d acts are left", n)
	}
	if s, err := w.primary.Session(t.Context(), duringHash); err != nil || s.ID != during.ID || s.Who != during.Who {
		t.Errorf("the session of the outage: %+v, %v", s, err)
	}
	if s, err := w.primary.Session(t.Context(), beforeHash); err != nil || s.ID != before.ID {
		t.Errorf("the session from before: %+v, %v", s, err)
	}
	if _, err := w.primary.Session(t.Context(), endedHash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("the session that has ended: %v", err)
	}
	eventually(t, "the files are left to the synchroniser", 15*time.Second, func() bool { return w.files.Load() == nil })
}

// TestStartInAnOutage: a broker that is started while its database is away serves, and its acts are
// merged by the process after it.
func TestStartInAnOutage(t *testing.T) {
	w := newWorld(t)
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _, hash, _ := w.login("anna")
	w.stop()
	w.server.Kill()
	w.open()
	w.join()
	if setup, version, err := w.Setup(t.Context()); err != nil || version != 1 || len(setup.Desktops) != 3 {
		t.Errorf("setup: version %d, %v", version, err)
	}
	if _, err := w.Session(t.Context(), hash); err != nil {
		t.Errorf("a session from before: %v", err)
	}
	_, _, second, _ := w.login("carl")
	w.stop()
	w.server.Start()
	w.open()
	w.join()
	eventually(t, "the acts of the process before are merged", 30*time.Second, func() bool { return w.node.unmerged() == 0 })
	for _, h := range [][32]byte{hash, second} {
		if _, err := w.primary.Session(t.Context(), h); err != nil {
			t.Error(err)
		}
	}
}
