package hostcache

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
)

// damage overwrites the middle of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(strings.Repeat("damaged ", 2048)), info.Size()/2/4096*4096)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFallback: when the newest file is damaged, truncated, of another version or gone, the one before
// serves; when that is of no use either, there is none, and why is said.
func TestFallback(t *testing.T) {
	s := embedded(t)
	fill(t, s, company(20, 2))
	made := newCache(t, s, nil)
	mustSync(t, made, Updated)
	made.now.condemn("it is time for another one")
	mustSync(t, made, Updated)
	for name, spoil := range map[string]func(t *testing.T, path string){
		"damaged": damage,
		"truncated": func(t *testing.T, path string) {
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
		"no database": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("no database", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"of another version": func(t *testing.T, path string) {
			change(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
		},
		"without origin":   func(t *testing.T, path string) { change(t, path, `DELETE FROM cache_origin`) },
		"setup unreadable": func(t *testing.T, path string) { change(t, path, `UPDATE setup SET document = '{'`) },
		"gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, s, nil)
			if err := os.CopyFS(c.o.Dir, os.DirFS(made.o.Dir)); err != nil {
				t.Fatal(err)
			}
			spoil(t, wholeFile(c.o.Dir, 2).path)
			cache, info, err := c.Open(t.Context())
			if err != nil || info.File != wholeFile(c.o.Dir, 1).path {
				t.Fatal(info, err)
			}
			if offers, err := cache.Offers(t.Context(), broker.OfferQuery{Who: local("user000019")}); err != nil || len(offers) != 1 {
				t.Errorf("%+v, %v", offers, err)
			}
			if err := cache.Close(); err != nil {
				t.Fatal(err)
			}
			c.Release()
			damage(t, wholeFile(c.o.Dir, 1).path)
			if _, _, err := c.Open(t.Context()); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "cache-1.db") {
				t.Errorf("%v", err)
			}
			mustSync(t, c, Updated) // a broker that finds no file that is of use makes one
			opened(t, c)
		})
	}
}

func change(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// TestAge: a file that nobody has confirmed for too long is not opened; a look at the database that finds
// it current makes it young.
func TestAge(t *testing.T) {
	s := embedded(t)
	fill(t, s, company(1, 1))
	c := newCache(t, s, nil)
	mustSync(t, c, Updated)
	path := wholeFile(c.o.Dir, 1).path
	change(t, path, `UPDATE cache_origin SET current_at = current_at - 25 * 3600000`)
	if _, _, err := c.Open(t.Context()); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "24h0m0s is the most") {
		t.Errorf("%v", err)
	}
	mustSync(t, c, Current)
	young, info, err := c.Open(t.Context())
	if err != nil || info.Age > time.Hour {
		t.Fatal(info, err)
	}
	if err := young.Close(); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		s    Status
		want bool
	}{
		{Status{}, false},
		{Status{File: "f", Current: time.Unix(0, 0)}, true},
		{Status{File: "f", Current: time.Unix(-61, 0)}, false},
	} {
		if got, why := usable(tc.s, time.Unix(0, 0), time.Minute); got != tc.want || got != (why == "") {
			t.Errorf("%+v: %v %q", tc.s, got, why)
		}
	}
}

// TestServing: while the cache serves, nothing touches its files; opening it ends an import at once. What
// was written to it meanwhile is gone with the next import, which comes even if the database has not
// changed, also when the process was another one.
func TestServing(t *testing.T) {
	s := embedded(t)
	fill(t, s, company(2, 2))
	hang, begun := make(chan struct{}), make(chan struct{})
	source := &broken{store: s}
	c := newCache(t, source, nil)
	mustSync(t, c, Updated)
	fill(t, s, company(3, 2))
	source.edit = func(table *broker.CacheTable, _ []any) error {
		if table.Name == "desktop" {
			close(begun)
			<-hang
			source.edit = nil
		}
		return nil
	}
	ended := make(chan error)
	go func() {
		_, err := c.Sync(context.Background())
		ended <- err
	}()
	<-begun
	time.AfterFunc(20*time.Millisecond, func() { close(hang) }) // the copy goes on while it is being ended
	cache, info, err := c.Open(t.Context())
	if err != nil || info.File != wholeFile(c.o.Dir, 1).path {
		t.Fatal(info, err)
	}
	if err := <-ended; !errors.Is(err, ErrServing) {
		t.Errorf("the import that was ended: %v", err)
	}
	signIn(t, cache, "local")
	for _, do := range []func() error{
		func() error { _, err := c.Sync(t.Context()); return err },
		func() error { _, err := c.Rehearse(t.Context(), 1); return err },
		func() error { _, err := c.Quarantine(t.Context(), 1); return err },
	} {
		if err := do(); !errors.Is(err, ErrServing) {
			t.Errorf("while it serves: %v", err)
		}
	}
	if !c.Status().Serving {
		t.Error("the status does not say that it serves")
	}
	if err := cache.Close(); err != nil {
		t.Fatal(err)
	}
	again := newCache(t, s, func(o *Options) { o.Dir = c.o.Dir }) // the process was killed
	back, _, err := again.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := back.Session(t.Context(), tokenOf("local")); err != nil {
		t.Errorf("what was done in the outage is lost: %v", err)
	}
	if err := back.Close(); err != nil {
		t.Fatal(err)
	}
	again.Release()
	if got := mustSync(t, again, Updated); got.Rows["session"] != 0 || got.Rows["desktop"] != 5 {
		t.Errorf("%+v", got)
	}
	mustSync(t, again, Current)
	last, _, err := again.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	third := newCache(t, s, func(o *Options) { o.Dir = c.o.Dir }) // it has served, though nothing has changed
	mustSync(t, third, Updated)
}

func TestNames(t *testing.T) {
	for name, want := range map[string]struct {
		n    int64
		rest string
		ok   bool
	}{
		"cache-7.db":     {7, "", true},
		"cache-7.db-wal": {7, "-wal", true},
		"cache-07.db":    {7, "", false},
		"cache--1.db":    {-1, "", false},
		"cache-.db":      {0, "", false},
		"cache-1":        {1, "", false},
		"cache.db":       {0, "", false},
		"node.db":        {0, "", false},
		"import-7.db":    {0, "", false},
	} {
		if n, rest, ok := parseName(name, wholePrefix); ok != want.ok || ok && (n != want.n || rest != want.rest) {
			t.Errorf("%s: %d %q %v", name, n, rest, ok)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"node.db", "cache.db", "cache-2.db", "cache-9.db", "cache-10.db", "cache-10.db-wal", "cache-2.db-shm", "cache-1.db.turn", "import-12.db",
		"import-12.db-journal", "import-11.db.lock", "cache-x.db"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := nextNumber(dir); err != nil || n != 13 {
		t.Error(n, err)
	}
	if err := clean(dir); err != nil {
		t.Fatal(err)
	}
	c := &Cache{o: Options{Dir: dir}}
	if got := files(t, c); !reflect.DeepEqual(got, []string{"cache-10.db", "cache-10.db-wal", "cache-9.db", "cache-x.db", "cache.db", "node.db"}) {
		t.Errorf("%v", got)
	}
}
