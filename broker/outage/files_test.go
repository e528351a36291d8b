package outage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

// newServing is a broker of a mode whose leases have anna's desktop.
func newServing(t *testing.T, outageMode string, maxAge time.Duration) *world {
	server := startServer(t)
	w := newWorldWith(t, &world{server: server, dsn: server.DSN,
		outage: broker.Outage{Mode: outageMode, Profile: broker.OutageFast, CacheEvery: time.Hour, CacheMaxAge: maxAge}})
	w.earn("anna", "anna-pc", "")
	return w
}

// TestWhatServes: the host cache serves when it can be used, else leases do, and each alone where it is
// configured so (DC8).
func TestWhatServes(t *testing.T) {
	covers.Req(t, "DC8", "HC1")
	for _, tc := range []struct {
		name, mode string
		maxAge     time.Duration
		want       mode.Mode
		why        string
	}{
		{"auto", broker.OutageAuto, time.Hour, mode.HostCache, ""},
		{"auto, too old", broker.OutageAuto, time.Millisecond, mode.Leased, "1ms is the most"},
		{"hostcache, too old", broker.OutageHostCache, time.Millisecond, mode.Draining, `leases: [broker.outage] mode is "hostcache"`},
		{"leases", broker.OutageLeases, time.Hour, mode.Leased, `outage mode is "leases"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newServing(t, tc.mode, tc.maxAge)
			if _, err := w.cache.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := w.RefreshLeases(t.Context()); tc.mode == broker.OutageHostCache != errors.Is(err, broker.ErrConflict) {
				t.Fatal(err)
			}
			w.server.Kill()
			w.until(tc.want, 10*time.Second)
			if why := w.State().Reason; !strings.Contains(why, tc.why) {
				t.Error(why)
			}
			r, _ := record("anna")
			if out, err := w.Login(t.Context(), r); tc.want.Local() != (err == nil && out.Session != nil) {
				t.Errorf("%+v, %v", out, err)
			}
			w.until(tc.want, time.Second)
		})
	}
}

// TestBetweenFiles: a host cache that turns out to be damaged while it serves is given up for leases, and one
// that can be used again takes their place; who was signed in meanwhile still is.
func TestBetweenFiles(t *testing.T) {
	covers.Req(t, "DC8")
	w := newServing(t, broker.OutageAuto, time.Hour)
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.refresh()
	if err := w.SetForce(t.Context(), &mode.Force{On: true, By: "a test"}); err != nil { // the database is there, and is not asked
		t.Fatal(err)
	}
	w.until(mode.HostCache, 10*time.Second)
	first, _, firstHash, _ := w.login("anna")
	spoil(t, w.dir)
	eventually(t, "calls fail, and then leases answer", 20*time.Second, func() bool {
		_, err := w.Offers(t.Context(), broker.OfferQuery{Who: who("anna")})
		return err == nil && w.State().Mode == mode.Leased
	})
	t.Log(w.State().Reason)
	second, _, secondHash, _ := w.login("anna")
	for _, h := range [][32]byte{firstHash, secondHash} {
		if _, err := w.Session(t.Context(), h); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.launch(first, "anna-pc", ""); err != nil {
		t.Error(err)
	}

	if out, err := w.cache.Sync(t.Context()); err != nil || out.Result != "updated" {
		t.Fatal(out, err)
	}
	w.until(mode.HostCache, 10*time.Second)
	for _, h := range [][32]byte{firstHash, secondHash} {
		if _, err := w.Session(t.Context(), h); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.launch(second, "anna-pc", ""); err != nil {
		t.Error(err)
	}
	if err := w.SetForce(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.until(mode.Normal, 60*time.Second)
	if _, err := w.primary.Session(t.Context(), secondHash); err != nil {
		t.Error(err)
	}
}

// spoil overwrites what stands in the host cache.
func spoil(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(dir + "/cache-*.db*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".db") {
			_, err = f.WriteAt([]byte(strings.Repeat("damaged ", int(info.Size()/8))), 0)
		} else if strings.HasSuffix(name, "-wal") {
			err = f.Truncate(0)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
}

// TestLacking: a desktop that the host cache could not take is reached by its lease; other desktops need none
// (DC8).
func TestLacking(t *testing.T) {
	covers.Req(t, "DC8")
	w := newServing(t, broker.OutageAuto, time.Hour)
	w.give("bert", "dora")
	setup, version, err := w.primary.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	setup.Desktops = append(setup.Desktops, broker.Desktop{Name: "emil-pc", Pool: "own", Host: "192.0.2.90"})
	setup.Assignments = append(setup.Assignments, broker.Assignment{User: "emil", Directory: broker.LocalDirectory, Desktop: "emil-pc"})
	if _, err := w.primary.ReplaceSetup(t.Context(), setup.WithDefaults(), version, row(broker.LogSetup, "")); err != nil {
		t.Fatal(err)
	}
	w.refresh()
	// Somebody has worked on the tables by hand: what the embedded schema refuses.
	w.server.Exec(`ALTER TABLE desktop DROP CONSTRAINT IF EXISTS desktop_reset_state_check; UPDATE desktop SET reset_state = 'by hand' WHERE name IN ('bert-pc', 'dora-pc')`)
	if out, err := w.cache.Sync(t.Context()); err != nil || out.Quarantined != 4 {
		t.Fatal(out, err)
	}
	w.server.Kill()
	w.until(mode.HostCache, 10*time.Second)
	for _, user := range []string{"anna", "bert", "dora", "emil"} {
		s, offers, _, _ := w.login(user)
		if len(offers) == 0 || offers[0].Name != user+"-pc" {
			t.Errorf("%s: %+v", user, offers)
			continue
		}
		if c, err := w.connect(s, offers[0]); err != nil || c.Name != user+"-pc" {
			t.Errorf("%s: %+v, %v", user, c, err)
		}
	}
	if l := w.files.Load(); l == nil || len(l.leases.lacks) != 2 {
		t.Errorf("%+v", l)
	}
}

// TestCopiedBeforeTheMerge: a session of an outage goes on while it waits to be merged, also where the host
// cache was copied after it began, from a database that does not have it yet.
func TestCopiedBeforeTheMerge(t *testing.T) {
	w := newWorld(t)
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.SetForce(t.Context(), &mode.Force{On: true, By: "a test"}); err != nil {
		t.Fatal(err)
	}
	w.until(mode.HostCache, 10*time.Second)
	_, _, hash, _ := w.login("anna")
	w.stop()
	w.open()
	if out, err := w.cache.Sync(t.Context()); err != nil || out.Result != "updated" {
		t.Fatal(out, err)
	}
	w.join()
	w.until(mode.HostCache, 10*time.Second)
	if _, err := w.Session(t.Context(), hash); err != nil {
		t.Error(err)
	}
}
