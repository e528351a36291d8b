package hostcache

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
	"switchpoint/internal/covers"
)

// steps are all that an import goes through.
func steps() []string {
	return []string{"begun", "created", "copied", "indexed", "checked", "closed", "synced", "renamed", "cleaned"}
}

// TestOutageKilledImport kills the process after each step of an import: the old cache is there or the
// new one, never neither, and the next import works and leaves nothing of the dead one.
func TestOutageKilledImport(t *testing.T) {
	covers.Req(t, "HC4")
	path := filepath.Join(t.TempDir(), "broker.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fill(t, s, company(5, 2))
	var seen []string
	c := newCache(t, s, func(o *Options) { o.step = func(step string) { seen = append(seen, step) } })
	mustSync(t, c, Updated)
	if !reflect.DeepEqual(seen, steps()) {
		t.Fatalf("an import goes through %v", seen)
	}
	for i, step := range steps() {
		before, now := 5+i, 6+i // assignments
		fill(t, s, company(now, 2))
		if _, killed := runChild(t, childTask{SQLite: path, Dir: c.o.Dir, Kill: step}); !killed {
			t.Fatalf("%s: the process went on", step)
		}
		after := newCache(t, s, func(o *Options) { o.Dir = c.o.Dir })
		cache, info, err := after.Open(t.Context())
		if err != nil {
			t.Fatalf("%s: no cache: %v", step, err)
		}
		renamed := step == "renamed" || step == "cleaned"
		if n := info.Rows["assignment"]; renamed && n != now || !renamed && n != before {
			t.Errorf("%s: %d assignments, before there were %d", step, n, before)
		}
		if offers, err := cache.Offers(t.Context(), broker.OfferQuery{Who: local("user000004")}); err != nil || len(offers) != 1 {
			t.Errorf("%s: %+v, %v", step, offers, err)
		}
		if err := cache.Close(); err != nil {
			t.Fatal(err)
		}
		after.Release()
		mustSync(t, after, Updated)
		if got := files(t, after); len(got) != 2+len(sidesOf(got)) || strings.Contains(strings.Join(got, " "), importPrefix) {
			t.Errorf("%s: left over: %v", step, got)
		}
	}
}

// sidesOf are the lock files that stand beside files that were opened.
func sidesOf(names []string) (out []string) {
	for _, n := range names {
		if strings.HasSuffix(n, ".lock") || strings.HasSuffix(n, ".turn") {
			out = append(out, n)
		}
	}
	return out
}

// TestOutageFullDisk: on a file system that is too small for another import, and on one that became
// read-only, what is there stays, every time, and the error says what is wrong.
func TestOutageFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m,mode=0700"); err != nil {
		t.Fatalf("a small file system cannot be made (the test needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := embedded(t)
	fill(t, s, company(20, 2))
	var log bytes.Buffer
	c := newCache(t, s, func(o *Options) { o.Dir, o.Log = dir, slog.New(slog.NewTextHandler(&log, nil)) })
	mustSync(t, c, Updated)
	ballast := filepath.Join(dir, "ballast")
	fillDisk(t, ballast)
	fill(t, s, company(21, 2))
	refused := func(want error) {
		t.Helper()
		for range 2 {
			log.Reset()
			out, err := c.Sync(t.Context())
			if err == nil || out.Result != Failed {
				t.Fatalf("%+v, %v", out, err)
			}
			if !errors.Is(err, want) && !errors.Is(err, broker.ErrUnavailable) {
				t.Errorf("%v, want %v", err, want)
			}
			if !strings.Contains(log.String(), "event_id=505") || !c.Status().Usable || c.Status().Error == "" {
				t.Errorf("%+v, log\n%s", c.Status(), &log)
			}
			t.Log(err)
		}
	}
	refused(syscall.ENOSPC)
	if names := files(t, c); !reflect.DeepEqual(names, []string{"ballast", "cache-1.db"}) {
		t.Errorf("left over: %v", names)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	refused(syscall.EROFS)
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if out := mustSync(t, c, Updated); out.Rows["assignment"] != 21 {
		t.Errorf("%+v", out)
	}
}

// fillDisk writes until nothing fits any more.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
