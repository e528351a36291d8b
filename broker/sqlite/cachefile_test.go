package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"switchpoint/broker"
)

// TestCacheColumns: every column of a table that host caches have is copied, or stands here. Who adds one
// decides: in broker.CacheTables, with the copies of both stores, and in the triggers that move the
// version (migration 00010), or here.
func TestCacheColumns(t *testing.T) {
	left := map[string][]string{
		"desktop_pool": {"deleted_at"},
		"desktop":      {"deleted_at", "shuffle", "claimed"}, // drawn anew; follows from the claims
	}
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, table := range broker.CacheTables() {
		var columns []string
		err := s.read(t.Context(), "columns", func(x txn) error {
			return each(x, `SELECT name FROM pragma_table_info(?)`, func(r *sql.Rows) error {
				var name string
				err := r.Scan(&name)
				columns = append(columns, name)
				return err
			}, table.Name)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range columns {
			if !slices.Contains(table.Columns, c) && !slices.Contains(left[table.Name], c) {
				t.Errorf("column %s of %s is not copied to host caches", c, table.Name)
			}
		}
		for _, c := range table.Columns {
			if !slices.Contains(columns, c) {
				t.Errorf("%s has no column %s", table.Name, c)
			}
		}
	}
}

// rowSource is a source with one setup and whatever rows.
type rowSource struct {
	rows func(func(table string, values ...any) error) error
}

func (s rowSource) CacheVersion(context.Context) (broker.CacheVersion, error) {
	return broker.CacheVersion{Setup: 1, Inventory: 1}, nil
}

func (s rowSource) CopyState(context.Context, broker.CacheSink) error { return nil }

func (s rowSource) CopyCache(ctx context.Context, to broker.CacheSink) (broker.CacheVersion, error) {
	if err := to.Begin(); err != nil {
		return broker.CacheVersion{}, err
	}
	err := s.rows(func(table string, values ...any) error {
		for _, t := range broker.CacheTables() {
			if t.Name == table {
				return to.Row(&t, values)
			}
		}
		return nil
	})
	return broker.CacheVersion{Setup: 1, Inventory: 1}, err
}

func setupRows(row func(string, ...any) error) error {
	if err := row("cluster", int64(1), "uk", make([]byte, 32), int64(1), "1", nil); err != nil {
		return err
	}
	return row("setup", int64(1), int64(1), `{}`, int64(1))
}

// TestBuildCacheAgain: a source whose connection breaks begins again, and nothing is there twice.
func TestBuildCacheAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache.db")
	twice := rowSource{func(row func(string, ...any) error) error {
		if err := setupRows(row); err != nil {
			return err
		}
		if err := row("desktop_pool", "p", "pool", "pooled", "none", int64(0), `{}`, int64(0), nil); err != nil {
			return err
		}
		return row("desktop_pool", "q", "pool", "odd", "none", int64(0), `{}`, int64(0), nil)
	}}
	again := &againSource{CacheSource: twice}
	r, err := BuildCache(t.Context(), path, again, time.Now(), nil)
	if err != nil || r.Rows["desktop_pool"] != 1 || r.Quarantined != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	info, err := InspectCache(t.Context(), path, true)
	if err != nil || info.Rows["desktop_pool"] != 1 || info.Quarantined != 1 || info.Version.Setup != 1 || info.Schema != SchemaVersion() || info.Served {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := InspectCache(t.Context(), path+"gone", true); err == nil {
		t.Error("a file that is not there can be inspected")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := BuildCache(ctx, filepath.Join(t.TempDir(), "cache.db"), twice, time.Now(), nil); err == nil {
		t.Error("it does not end with its context")
	}
}

// againSource copies twice.
type againSource struct{ broker.CacheSource }

func (s *againSource) CopyCache(ctx context.Context, to broker.CacheSink) (broker.CacheVersion, error) {
	if v, err := s.CacheSource.CopyCache(ctx, to); err != nil {
		return v, err
	}
	return s.CacheSource.CopyCache(ctx, to)
}

// TestCacheIsAStore: what the import put off is there: a host cache has every index and trigger of a store,
// and its claims count.
func TestCacheIsAStore(t *testing.T) {
	dir := t.TempDir()
	cache, plain := filepath.Join(dir, "cache.db"), filepath.Join(dir, "plain.db")
	if _, err := BuildCache(t.Context(), cache, rowSource{setupRows}, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	var schemas [2][]string
	for i, path := range []string{cache, plain} {
		s, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = s.read(t.Context(), "schema", func(x txn) error {
			return each(x, `SELECT type || name || COALESCE(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name`, func(r *sql.Rows) error {
				var text string
				err := r.Scan(&text)
				schemas[i] = append(schemas[i], text)
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(schemas[0], schemas[1]) {
		t.Errorf("the host cache has\n%q\na store has\n%q", schemas[0], schemas[1])
	}
}

// TestCacheRowsOfAnyKind: whatever stands in the records of a source, the import ends with a file that is
// whole and that a broker can read, or says that the setup cannot be used.
func TestCacheRowsOfAnyKind(t *testing.T) {
	for _, tc := range []struct {
		document, members, grants, sessions, text string
		number                                    int64
		blob                                      []byte
		usable                                    bool
	}{
		{`{}`, `{"rules":[{"attribute":"os"}]}`, `[{"Pool":"p","MaxOffers":1}]`, `[]`, "pooled", 3389, []byte("k"), true},
		{`{"Policies":[{"Name":"a"}]}`, `[]`, `null`, `[{"user":"anna"}]`, "assigned", -1, make([]byte, 32), true},
		{`{}`, `{"rules":`, `{`, "\x00", "\xff", 1 << 62, nil, true},
		{`{"Directories": 7}`, `{}`, `[]`, `[]`, "x", 1, nil, false},
		{``, ``, ``, ``, ``, 0, []byte{}, false},
	} {
		path := filepath.Join(t.TempDir(), "cache.db")
		_, err := BuildCache(t.Context(), path, rowSource{func(row func(string, ...any) error) error {
			return anyRows(row, tc.document, tc.members, tc.grants, tc.sessions, tc.text, tc.number, tc.blob)
		}}, time.Now(), nil)
		if (err == nil) != tc.usable {
			t.Errorf("%+v: %v", tc, err)
		}
		if err != nil {
			continue
		}
		if _, err := InspectCache(t.Context(), path, true); err != nil {
			t.Errorf("%+v: %v", tc, err)
		}
		s, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Setup(t.Context()); err != nil {
			t.Errorf("%+v: setup: %v", tc, err)
		}
		if _, err := s.Agents(t.Context(), ""); err != nil {
			t.Errorf("%+v: agents: %v", tc, err)
		}
		if _, err := s.Session(t.Context(), [32]byte{}); err != nil && !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("%+v: session: %v", tc, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// anyRows sends a row of most tables, all with the same values.
func anyRows(row func(string, ...any) error, document, members, grants, sessions, text string, number int64, blob []byte) error {
	for _, do := range []func() error{
		func() error { return row("cluster", int64(1), text, make([]byte, 32), number, text, nil) },
		func() error { return row("setup", int64(1), number, document, number) },
		func() error { return row("desktop_pool", "p", text, "pooled", text, number, members, number, nil) },
		func() error { return row("desktop_pool", "q", "q", text, text, number, members, number, text) },
		func() error {
			return row("desktop", text, text, text, text, text, "p", text, text, number, text, text, text, text, text, text, text, text,
				number, number, number, nil, text, text, text, nil, nil)
		},
		func() error { return row("assignment", text, text, text, number, "import") },
		func() error { return row("agent", text, blob, number, number, text, text, 0.5, sessions, number) },
		func() error { return row("last_use", text, text, text, grants) },
		func() error {
			return row("session", "s", blob, text, text, number, text, text, grants, number, number, nil, number, nil)
		},
		func() error { return row("claim", text, "p", number, text, text, "s", number, nil, nil, nil) },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// FuzzCheckRow: what is let into a host cache can be read by the store that is opened on it.
func FuzzCheckRow(f *testing.F) {
	for _, text := range []string{`{}`, `[]`, ``, `null`, `{"rules":[{"attribute":"os"}]}`, `[{"Pool":"p","MaxOffers":1}]`, `[{"user":"anna","state":"active"}]`,
		`{"Directories": 7}`, `{"Policies":[{"Name":"a"}]}`, "\x00", "[\xff]", `{"DesktopPools":[{"ReleaseDelay":-1}]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, tc := range []struct {
			table, column string
			into          any
		}{{"setup", "document", &broker.Setup{}}, {"desktop_pool", "members", &members{}}, {"session", "grants", &[]broker.Grant{}}, {"agent", "sessions", &[]broker.AgentSession{}}} {
			for _, table := range broker.CacheTables() {
				if table.Name != tc.table {
					continue
				}
				values := make([]any, len(table.Columns))
				values[slices.Index(table.Columns, tc.column)] = text
				err := checkRow(&table, values)
				if err == nil {
					err = json.Unmarshal([]byte(text), tc.into)
				} else if !badRow(err) {
					t.Errorf("%s %q: a fault of the row is taken for one of the database: %v", tc.table, text, err)
					continue
				} else {
					err = nil
				}
				if err != nil {
					t.Errorf("%s %q is let in and cannot be read: %v", tc.table, text, err)
				}
			}
		}
	})
}
