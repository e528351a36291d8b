package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"switchpoint/broker"
)

// crowd is a database with 2n users; half of n desktops are assigned to the first users, and of the
// others in the pool all but 50 are claimed by the next ones.
func crowd(t *testing.T, n int) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) `
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO desktop_pool (id, name, kind, check_kind, position) VALUES ('own', 'own', 'assigned', 'none', 0), ('pool', 'pool', 'pooled', 'none', 1)`, nil},
		{numbers + `INSERT INTO desktop (id, name, pool_id, host, port, protocol, state) SELECT 'd' || i, 'd' || i, CASE WHEN i <= ? THEN 'own' ELSE 'pool' END,
			'h', 1, 'rdp', 'enabled' FROM n`, []any{n, n / 2}},
		{numbers + `INSERT INTO session SELECT 's' || i, CAST(printf('%032d', i) AS BLOB), 'local', 'user' || i, 1, '', '', '[]', 0, 9e15, NULL FROM n`, []any{2 * n}},
		{numbers + `INSERT INTO assignment (desktop_id, directory, user, position) SELECT 'd' || i, 'local', 'user' || i, 0 FROM n`, []any{n / 2}},
		{numbers + `INSERT INTO claim (desktop_id, pool_id, slot, directory, user, session_id, claimed_at)
			SELECT 'd' || (i + ?), 'pool', 1, 'local', 'user' || (i + ?), 's' || (i + ?), 0 FROM n`, []any{n/2 - 50, n / 2, n / 2, n / 2}},
		{`ANALYZE`, nil},
	} {
		sqlText := q.sql
		if strings.Contains(sqlText, "INTO session") { // columns that came later have defaults
			sqlText = strings.Replace(sqlText, "INTO session SELECT", "INTO session (id, token_hash, directory, user, site_id, client_addr, client_name, grants, created_at, expires_at, ended_at) SELECT", 1)
		}
		if _, err := s.writer.ExecContext(t.Context(), sqlText, q.args...); err != nil {
			t.Fatalf("%s: %v", sqlText, err)
		}
	}
	return s
}

// TestScale: with a hundred times as many users and desktops a login, a list of candidates and a
// connect take about as long: none of them looks at more than a few rows, in any order.
func TestScale(t *testing.T) {
	small, large := crowd(t, fewDesktops), crowd(t, 100*fewDesktops)
	for _, order := range []string{broker.OrderPrevious, broker.OrderRandom, broker.OrderLRU, broker.OrderRunning} {
		was, is := round(t, small, order), round(t, large, order)
		t.Logf("%s: %s, with a hundred times as many %s", order, was, is)
		if is > 8*was+2*time.Millisecond {
			t.Errorf("%s: %s, with a hundred times as many %s", order, was, is)
		}
	}
}

// round is the median time of a user's way from the login to the logout.
func round(t *testing.T, s *Store, order string) time.Duration {
	t.Helper()
	var times []time.Duration
	for i := range 41 {
		id, who := uuid.Must(uuid.NewV7()).String(), broker.Who{Directory: "local", User: fmt.Sprint("new", i)}
		row := func() broker.LogRow { return broker.LogRow{ID: uuid.Must(uuid.NewV7()).String()} }
		token := broker.Token{SiteID: 1, Secret: [32]byte([]byte(id)[:32])}
		began := time.Now()
		out, err := s.Login(t.Context(), broker.LoginRecord{Who: who, Log: row(), NewSession: &broker.NewSession{
			Session:   broker.Session{ID: id, Who: who, SiteID: 1, Grants: []broker.Grant{{Pool: "pool", MaxOffers: 4, Order: order, MaxSessions: 2}}},
			TokenHash: token.Hash(), Life: time.Hour,
		}})
		if err != nil || out.Session == nil {
			t.Fatal(out, err)
		}
		if _, err := s.Candidates(t.Context(), *out.Session, out.Offers[0].ID, 15); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Connect(t.Context(), broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Log: row()}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Logout(t.Context(), id, row()); err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// TestMigrateInventory brings a database with users at work from the schema before the queue and the inventory to
// this one: nobody loses his desktop.
func TestMigrateInventory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	migrateTo(t, path, 2, `INSERT INTO desktop_pool VALUES ('p', 'pool', 'pooled', 'dial', 0, NULL), ('o', 'own', 'assigned', 'dial', 1, NULL);
		INSERT INTO desktop VALUES ('d1', 'one', 'p', 'h1', 1, 'rdp', 'enabled', 0, NULL), ('d2', 'two', 'p', 'h2', 1, 'rdp', 'enabled', 1, NULL), ('d3', 'mine', 'o', 'h3', 1, 'rdp', 'enabled', 2, NULL);
		INSERT INTO assignment VALUES ('d3', 'local', 'anna', 0);
		INSERT INTO session VALUES ('s', zeroblob(32), 'local', 'anna', 1, '', '', '[]', 0, 9000000000000000, NULL);
		INSERT INTO claim VALUES ('d1', 'p', 1, 'local', 'anna', 's', 0);
		INSERT INTO setup VALUES (1, 1, '{}', 0);`)
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	setup, _, err := s.Setup(t.Context())
	if err != nil || len(setup.Desktops) != 3 || setup.Desktops[1].Pool != "pool" || len(setup.Assignments) != 1 {
		t.Errorf("setup %+v, %v", setup, err)
	}
	offers, err := s.Offers(t.Context(), broker.OfferQuery{Who: broker.Who{Directory: "local", User: "anna"}, Grants: []broker.Grant{{Pool: "pool", MaxOffers: 1}}})
	if err != nil || len(offers) != 2 || offers[0].Name != "mine" || offers[1].Name != "one" || offers[1].State != broker.OfferRunning {
		t.Errorf("offers %+v, %v", offers, err)
	}
	list, err := s.Candidates(t.Context(), broker.Session{Grants: []broker.Grant{{Pool: "pool", MaxOffers: 1}}}, broker.OfferID{Pool: "p", Slot: 1}, 9)
	if err != nil || len(list) != 1 || list[0].Name != "two" {
		t.Errorf("candidates %+v, %v", list, err)
	}
	var broken int
	if err := s.writer.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pragma_foreign_key_check`).Scan(&broken); err != nil || broken != 0 {
		t.Errorf("%d rows refer to nothing, %v", broken, err)
	}
}

// migrateTo makes a database of an earlier version.
func migrateTo(t *testing.T, path string, version int64, fill string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, time.Second, false, false))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(context.Background(), version); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
}
