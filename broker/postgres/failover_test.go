package postgres

import (
	"context"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// TestFailover kills a primary under logins and promotes its standby, then lets the old primary
// come back: writes go on at the new one, nothing acknowledged is lost, and the old one, though it
// is named first and can be written, gets nothing.
func TestFailover(t *testing.T) {
	t.Parallel()
	covers.Req(t, "FO2")
	primary := serve(t, nil)
	standby := primary.Standby()
	primary.Exec("ALTER SYSTEM SET synchronous_standby_names = '*'")
	primary.Exec("SELECT pg_reload_conf()")
	dsn, err := url.Parse(primary.fresh(t, primary.DSN))
	if err != nil {
		t.Fatal(err)
	}
	dsn.Host = primary.Addr + "," + standby.Addr
	s := open(t, Options{URL: dsn.String()})
	m := join(t, s, 1)
	fill(t, s, 5)
	session, desktop, err := signIn(t.Context(), s, "anna")
	if err != nil {
		t.Fatal(err)
	}
	// A second store knows the servers by one name, which an admin changes by hand.
	var alias atomic.Value
	alias.Store(primary.Addr)
	dsn.Host = "db.example"
	named := open(t, Options{URL: dsn.String(), lookup: func(context.Context, string) ([]string, error) { return []string{alias.Load().(string)}, nil }})
	l := newLoad(s)
	l.more(t, 50)
	primary.Kill()
	if got := standby.Exec("SELECT pg_promote()"); got != "t" {
		t.Fatalf("promoted: %s", got)
	}
	l.more(t, 50)
	if _, err := named.SetupVersion(t.Context()); !unavailable(err) {
		t.Errorf("the name leads to a dead server: %v", err)
	}
	alias.Store(standby.Addr)
	if _, err := named.Login(t.Context(), record("anna")); err != nil {
		t.Errorf("the name leads to another server: %v", err)
	}

	database := "SELECT count(*) FROM session"
	primary.Database = dsn.Path[1:]
	primary.Start()
	before := primary.Exec(database)
	s.pool.Reset()
	l.more(t, 50)
	l.check(t, s)
	if after := primary.Exec(database); after != before {
		t.Errorf("the old primary has %s sessions, before %s", after, before)
	}
	if err := s.Heartbeat(t.Context(), m, broker.Beat{}); err != nil {
		t.Errorf("the membership is lost: %v", err)
	}
	again, err := s.Connect(t.Context(), broker.ConnectRecord{Session: session, Offer: broker.OfferID{Pool: poolOf(t, s), Slot: 1}, Log: broker.LogRow{ID: newID()}})
	if err != nil || again.ID != desktop.ID {
		t.Errorf("the claim is lost: %v, %v", again, err)
	}
	if seen := s.guard.seen(); seen.timeline != 2 {
		t.Errorf("seen %+v", seen)
	}
}

func poolOf(t *testing.T, s *Store) string {
	t.Helper()
	var id string
	if err := s.pool.QueryRow(t.Context(), `SELECT id FROM desktop_pool WHERE name = 'pool'`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// oldCopy shows the store an older copy than it has seen: behind a pooler, and on a new connection.
func oldCopy(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN), QueryTimeout: time.Second})
	join(t, s, 1)
	if _, err := s.SetupVersion(t.Context()); err != nil || s.guard.seen() != (age{timeline: 1, epoch: 1}) {
		t.Fatalf("seen %+v: %v", s.guard.seen(), err)
	}
	exec(t, s, `UPDATE cluster SET epoch = 0`)
	for _, when := range []string{"on an open connection", "on a new one"} {
		if _, err := s.SetupVersion(t.Context()); !unavailable(err) {
			t.Errorf("%s: %v", when, err)
		}
	}
}
