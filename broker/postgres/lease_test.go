package postgres

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/storetest"
)

// owners makes n users with a desktop of their own each, signs them in, and returns their connects.
func owners(t testing.TB, s *Store, n int) []broker.ConnectRecord {
	t.Helper()
	setup := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "own", Kind: broker.KindAssigned}}}
	for i := range n {
		setup.Desktops = append(setup.Desktops, broker.Desktop{Name: fmt.Sprintf("own%05d", i), Pool: "own", Host: "h"})
		setup.Assignments = append(setup.Assignments, broker.Assignment{User: fmt.Sprint("user", i), Desktop: fmt.Sprintf("own%05d", i)})
	}
	if _, err := s.ReplaceSetup(t.Context(), setup.WithDefaults(), 0, broker.LogRow{ID: newID()}); err != nil {
		t.Fatal(err)
	}
	records := make([]broker.ConnectRecord, n)
	for i := range records {
		out, err := s.Login(t.Context(), record(fmt.Sprint("user", i)))
		if err != nil {
			t.Fatal(err)
		}
		records[i] = broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Log: broker.LogRow{ID: newID()}}
	}
	return records
}

// leasesTogether: a user's connects, all of which write, beside the removal of everybody's leases: the
// server finds nobody who waits in a circle.
func leasesTogether(t *testing.T, d *databases) {
	u := d.fresh(t, d.DSN)
	s := open(t, Options{URL: u, MaxConns: 16})
	records := owners(t, s, 3)
	exec(t, s, `UPDATE assignment SET user_name = 'user0'`)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 40 {
				r := records[0]
				r.Offer, r.Log.ID = records[(i+n)%3].Offer, newID()
				r.Lease.Life = time.Duration(1+n%2) * leaseDays
				if _, err := s.Connect(t.Context(), r); err != nil {
					t.Error(err)
					return
				}
				if i > 0 || n%4 > 0 {
					continue
				}
				if _, err := s.RemoveLeases(t.Context(), broker.LeaseFilter{}, broker.LogRow{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if list, err := s.Leases(t.Context(), broker.LeaseFilter{Removed: true}); err != nil || len(list) != 4 {
		t.Errorf("leases %+v, %v", list, err)
	}
	if err := s.Close(); err != nil { // a connection that ends says what it has counted
		t.Fatal(err)
	}
	var deadlocks int
	again := open(t, Options{URL: u})
	if err := again.pool.QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks); err != nil || deadlocks != 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
}

const leaseDays = 14 * 24 * time.Hour

// leasesPurged: what was removed or has expired stays for seven days, for brokers that come back, and goes
// then, a bounded number at a time.
func leasesPurged(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	exec(t, s, `INSERT INTO lease SELECT gen_random_uuid(), 'local', name, 'enumeration', '', '', '[]', '[]', now() - interval '21 days',
			now() + expires * interval '1 day', now() + removed * interval '1 day', now()
		FROM (VALUES ('stands', 1, NULL), ('expired', -6.9, NULL), ('removed', 1, -6.9), ('removed since', -8, -6.9), ('expired long ago', -7.1, NULL),
			('removed long ago', 1, -7.1)) AS v (name, expires, removed)`)
	exec(t, s, `INSERT INTO lease SELECT gen_random_uuid(), 'local', n::text, 'enumeration', '', '', '[]', '[]', 'epoch', 'epoch', NULL, 'epoch'
		FROM generate_series(1, $1::integer) n`, purgeBatch)
	keep := broker.Retention{Log: time.Hour, Sessions: time.Hour}
	for _, want := range []broker.Purged{{Leases: purgeBatch, More: true}, {Leases: 2}, {}} {
		if got, err := s.Purge(t.Context(), keep); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	list, err := s.Leases(t.Context(), broker.LeaseFilter{Removed: true})
	if err != nil || len(list) != 4 || list[0].User != "expired" || list[1].User != "removed" || list[2].User != "removed since" || list[3].User != "stands" {
		t.Errorf("left: %+v, %v", list, err)
	}
}

// leasesText: a client may name itself anything, and so may a desktop's center name it.
func leasesText(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	r := owners(t, s, 1)[0]
	odd := `a "quote", a \ and ä` + "\n\x01\u2028</script>"
	exec(t, s, `UPDATE desktop SET name = $1, host = $1`, odd)
	r.Session.Grants = []broker.Grant{{Pool: odd + "\x00", MaxOffers: 1}}
	r.Lease = broker.LeaseTerms{Life: leaseDays, Client: "tc\x00\xff'"}
	for range 2 {
		r.Log.ID = newID()
		if _, err := s.Connect(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Leases(t.Context(), broker.LeaseFilter{})
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	if l := list[0]; len(l.Grants) != 1 || l.Grants[0].Pool != odd+"\x00" || l.Desktops[0].Name != odd {
		t.Errorf("enumeration %+v", l)
	}
	if l := list[1]; l.Desktops[0].Host != odd || l.Client != "tc\uFFFD\uFFFD'" {
		t.Errorf("launch %+v", l)
	}
	if list, err := s.Leases(t.Context(), broker.LeaseFilter{Desktop: odd, Client: r.Lease.Client}); err != nil || len(list) != 1 {
		t.Errorf("by its name and client: %+v, %v", list, err)
	}
}

// leasesUnreadable: a lease that nobody can read is left out and said in the log, and keeps no other one from
// being listed or copied. Of one that was removed it is told that it was.
func leasesUnreadable(t *testing.T, d *databases) {
	var said bytes.Buffer
	s := open(t, Options{URL: d.fresh(t, d.DSN), Log: slog.New(slog.NewTextHandler(&said, nil))})
	exec(t, s, `INSERT INTO lease SELECT ('00000000-0000-7000-8000-00000000000' || name)::uuid, 'local', name, 'launch', name, '', desktops, grants, 'epoch', now() + interval '1 day', removed, 'epoch'
		FROM (VALUES ('a', '[]', '[]', NULL), ('b', '{', '[]', NULL), ('c', '[]', '"no"', NULL), ('d', '[]', '[]', NULL), ('e', '', '', now()), ('f', 'x', '[]', NULL))
			AS v (name, desktops, grants, removed)`)
	said.Reset()
	storetest.UnreadableLeases(t, s, &said, "00000000-0000-7000-8000-00000000000f", "00b: ")
}
