package hostcache

import (
	"bytes"
	"database/sql"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
	"switchpoint/internal/covers"
)

// spoiler adds to a good copy what no cache can take.
type spoiler struct{ to broker.CacheSink }

func (s spoiler) row(table string, set map[string]any) error {
	for _, t := range broker.CacheTables() {
		if t.Name != table {
			continue
		}
		values := make([]any, len(t.Columns))
		for i, name := range t.Columns {
			v, ok := set[name]
			switch {
			case ok:
				values[i] = v
			case slices.Contains([]string{"position", "running", "released_at", "enrolled_at", "seen_at", "session_count", "slot", "claimed_at", "site_id", "created_at",
				"expires_at", "idle_ms", "port", "release_ms"}, name):
				values[i] = int64(1)
			case slices.Contains([]string{"missing_since", "reset_at", "reset_until", "release_at", "used_at", "unseen_since", "ended_at", "ends_at", "backup_id", "pool_id"}, name):
			case name == "load":
				values[i] = 0.5
			case name == "source":
				values[i] = "import"
			default:
				values[i] = ""
			}
		}
		return s.to.Row(&t, values)
	}
	return nil
}

// TestQuarantine: records that refer to nothing, that cannot be read, that have wrong types or that stand
// there twice are noted and left out; all others are imported, and the next import takes what was mended.
// The predecessors took the whole configuration or nothing (HC9), so that one orphan spoiled every import.
func TestQuarantine(t *testing.T) {
	covers.Req(t, "HC9")
	s := embedded(t)
	fill(t, s, company(3, 3))
	signIn(t, s, "anna")
	source := &broken{store: s, more: func(to broker.CacheSink) error {
		p := spoiler{to}
		for _, r := range []struct {
			table string
			set   map[string]any
		}{
			{"assignment", map[string]any{"desktop_id": "nowhere", "directory": "local", "user": "lost"}},
			{"desktop", map[string]any{"id": "strays", "name": "strays", "pool_id": "no such pool", "state": "enabled", "host": "h"}},
			{"assignment", map[string]any{"desktop_id": "strays", "directory": "local", "user": "kept"}},
			{"desktop", map[string]any{"id": "typed", "name": "typed", "port": "many", "state": "enabled"}},
			{"assignment", map[string]any{"desktop_id": "typed", "directory": "local", "user": "lost"}},
			{"desktop", map[string]any{"id": "twin", "name": "own000001", "state": "enabled"}},
			{"desktop_pool", map[string]any{"id": "p1", "name": "broken", "kind": "pooled", "members": `{"rules":[{`}},
			{"desktop_pool", map[string]any{"id": "p2", "name": "odd", "kind": "neither", "members": `{}`}},
			{"agent", map[string]any{"desktop_id": "strays", "key_hash": []byte("short"), "sessions": "[]"}},
			{"agent", map[string]any{"desktop_id": "strays", "key_hash": make([]byte, 32), "sessions": "{"}},
			{"session", map[string]any{"id": "s1", "token_hash": make([]byte, 32), "grants": "no"}},
			{"claim", map[string]any{"desktop_id": "strays", "pool_id": "p1", "session_id": "s1", "user": "lost"}},
		} {
			if err := p.row(r.table, r.set); err != nil {
				return err
			}
		}
		return nil
	}}
	var log bytes.Buffer
	c := newCache(t, source, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	out := mustSync(t, c, Updated)
	if out.Rows["desktop"] != 7 || out.Rows["assignment"] != 4 || out.Rows["claim"] != 1 || out.Rows["session"] != 1 || out.Rows["desktop_pool"] != 2 {
		t.Errorf("rows %v", out.Rows)
	}
	list, err := c.Quarantine(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ what, key, why string }{
		{"assignment", "nowhere", "no desktop nowhere; it is left out"},
		{"assignment", "typed", "no desktop typed; it is left out"},
		{"desktop", "strays", "no desktop_pool no such pool; it is kept without that"},
		{"desktop", "typed", "port"},
		{"desktop", "twin", "UNIQUE constraint failed: desktop.name"},
		{"desktop_pool", "p1", "members: unexpected end of JSON input"},
		{"desktop_pool", "p2", "CHECK constraint failed"},
		{"agent", "strays", "CHECK constraint failed"},
		{"agent", "strays", "sessions: "},
		{"session", "s1", "grants: invalid character"},
		{"claim", "strays", "it is left out"},
	} {
		if !slices.ContainsFunc(list, func(r sqlite.CacheRecord) bool {
			return r.What == want.what && r.Key == want.key && strings.Contains(r.Why, want.why)
		}) {
			t.Errorf("no %+v in %+v", want, list)
		}
	}
	if out.Quarantined != len(list) || c.Status().Quarantined != len(list) || strings.Count(log.String(), "is not, or not whole") != toldRecords {
		t.Errorf("%d quarantined, %+v, log\n%s", out.Quarantined, c.Status(), &log)
	}
	t.Run("serves", func(t *testing.T) {
		cache := opened(t, c)
		offers, err := cache.Offers(t.Context(), broker.OfferQuery{Who: local("kept")})
		if err != nil || len(offers) != 1 || offers[0].Name != "strays" {
			t.Errorf("a user whose desktop has lost its pool: %+v, %v", offers, err)
		}
	})
	source.more = nil
	if out := mustSync(t, c, Updated); out.Quarantined != 0 || out.Rows["desktop"] != 6 {
		t.Errorf("mended: %+v", out)
	}
}

// TestQuarantineDamagedSource reads an embedded database that somebody has written to by hand: its rows
// break rules that it does not check any more.
func TestQuarantineDamagedSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fill(t, s, company(4, 2))
	db, err := sql.Open("sqlite", path) // without foreign keys
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{
		`UPDATE assignment SET desktop_id = 'nowhere' WHERE user = 'user000000'`,
		`UPDATE desktop SET pool_id = 'no pool' WHERE name = 'own000001'`,
		`UPDATE desktop_pool SET members = '[1' WHERE name = 'own'`,
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	c := newCache(t, s, nil)
	// The pool is left out, and with it the reference of each of its desktops.
	if out := mustSync(t, c, Updated); out.Quarantined != 1+1+1+3 || out.Rows["desktop"] != 6 || out.Rows["assignment"] != 3 {
		t.Errorf("%+v", out)
	}
	if _, err := db.ExecContext(t.Context(), `PRAGMA ignore_check_constraints = ON; UPDATE setup SET document = 'x', version = version + 1`); err != nil {
		t.Fatal(err)
	}
	if out, err := c.Sync(t.Context()); err == nil || out.Result != Failed || !strings.Contains(err.Error(), "setup") || !c.Status().Usable {
		t.Errorf("%+v, %v", out, err)
	}
}
