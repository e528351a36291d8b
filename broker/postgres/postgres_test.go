package postgres

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"switchpoint/broker"
	"switchpoint/broker/storetest"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// databases makes fresh databases on one server.
type databases struct {
	*realserver.PostgresServer
	count atomic.Int64
}

func serve(t testing.TB, settings map[string]string) *databases {
	t.Helper()
	return &databases{PostgresServer: realserver.Postgres(t, realserver.PostgresOptions{Settings: settings})}
}

// roomy is for many databases at once whose contents need not survive the server.
func roomy() map[string]string {
	return map[string]string{"max_connections": "300", "fsync": "off", "full_page_writes": "off"}
}

// fresh makes a database and returns its URL for clients of dsn.
func (d *databases) fresh(t testing.TB, dsn string) string {
	t.Helper()
	name := fmt.Sprintf("test%d", d.count.Add(1))
	d.Exec("CREATE DATABASE " + name)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// open opens a store that is closed at the end of the test.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	covers.Req(t, "JQ1", "LV2", "LV4", "DC1", "PG3", "PG4", "CL7", "BR5", "SE2", "LS4")
	t.Parallel()
	d := serve(t, roomy())
	storetest.Run(t, func(t *testing.T) func() storetest.Store {
		u := d.fresh(t, d.DSN)
		return func() storetest.Store { return open(t, Options{URL: u}) }
	})
}

// TestStoreThroughPooler: a PgBouncer that gives each transaction another connection of the server.
func TestStoreThroughPooler(t *testing.T) {
	t.Parallel()
	d := serve(t, roomy())
	pooler := realserver.PgBouncer(t, realserver.PgBouncerOptions{Server: d.PostgresServer, Settings: map[string]string{"default_pool_size": "5"}})
	storetest.Run(t, func(t *testing.T) func() storetest.Store {
		u := d.fresh(t, pooler.DSN)
		return func() storetest.Store { return open(t, Options{URL: u}) }
	})
}

// TestOneServer has the tests that need a server but do not hurt it.
func TestOneServer(t *testing.T) {
	t.Parallel()
	d := serve(t, roomy())
	for name, test := range map[string]func(*testing.T, *databases){
		"PoolerIsSeen": poolerIsSeen, "OpenAtOnce": openAtOnce, "PurgeIsBounded": purgeIsBounded, "ReadOnly": readOnly, "Retry": retry,
		"Cancelled": cancelled, "OldCopy": oldCopy,
		"LostAnswer": lostAnswer, "Together": together, "WatchWithSetup": watchWithSetup, "MigrateFilled": migrateFilled, "AddJobsAtOnce": addJobsAtOnce, "TakenOverAtOnce": takenOverAtOnce, "PlansAtOnce": plansAtOnce, "Plans": plans, "TenThousandAgents": tenThousandAgents, "AnyText": anyText,
		"LeasesTogether": leasesTogether, "LeasesPurged": leasesPurged, "LeasesText": leasesText, "LeasesUnreadable": leasesUnreadable,
	} {
		t.Run(name, func(t *testing.T) { test(t, d) })
	}
}

// poolerIsSeen: only a connection of our own has prepared statements and settings.
func poolerIsSeen(t *testing.T, d *databases) {
	pooler := realserver.PgBouncer(t, realserver.PgBouncerOptions{Server: d.PostgresServer, Settings: map[string]string{"default_pool_size": "2"}})
	for _, tc := range []struct {
		dsn  string
		mode pgx.QueryExecMode
	}{{d.DSN, pgx.QueryExecModeCacheStatement}, {pooler.DSN, pgx.QueryExecModeCacheDescribe}} {
		s := open(t, Options{URL: d.fresh(t, tc.dsn)})
		join(t, s, 1)
		var prepared int
		var timeout string
		err := s.ask(t.Context(), "look", func(l link) error {
			if l.mode != tc.mode {
				t.Errorf("%v through %s, want %v", l.mode, tc.dsn, tc.mode)
			}
			if err := l.row(`SELECT current_setting('statement_timeout')`).Scan(&timeout); err != nil {
				return err
			}
			return l.row(`SELECT count(*) FROM pg_prepared_statements WHERE name <> ''`).Scan(&prepared)
		})
		if err != nil {
			t.Fatal(err)
		}
		if direct := tc.mode == pgx.QueryExecModeCacheStatement; (prepared > 0) != direct || (timeout == "30s") != direct {
			t.Errorf("%d prepared statements and a time-out of %s through %s", prepared, timeout, tc.dsn)
		}
	}
}

// openAtOnce starts many brokers on no schema at all.
func openAtOnce(t *testing.T, d *databases) {
	pooler := realserver.PgBouncer(t, realserver.PgBouncerOptions{Server: d.PostgresServer})
	for _, dsn := range []string{d.DSN, pooler.DSN} {
		u := d.fresh(t, dsn)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				s, err := Open(t.Context(), Options{URL: u, MaxConns: 2})
				if err != nil {
					t.Error(err)
					return
				}
				if v, err := s.SetupVersion(t.Context()); err != nil || v != 0 {
					t.Error(v, err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// purgeIsBounded: one Purge works on a bounded number of rows.
func purgeIsBounded(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	exec(t, s, `INSERT INTO log SELECT gen_random_uuid(), 'epoch', '', '', '', '', '', '', '', 1, NULL, '', 0, '' FROM generate_series(1, $1::integer)`, purgeBatch+1)
	keep := broker.Retention{Log: time.Hour, Sessions: time.Hour}
	for _, want := range []broker.Purged{{Log: purgeBatch, More: true}, {Log: 1}, {}} {
		if got, err := s.Purge(t.Context(), keep); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func exec(t testing.TB, s *Store, sql string, args ...any) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func join(t testing.TB, s *Store, site int) broker.Membership {
	t.Helper()
	n := broker.Node{Name: fmt.Sprint("cb", site), Datacenter: "uk", Version: "1", SiteID: site, Booted: time.Now()}
	m, err := s.Join(t.Context(), n, broker.Cluster{Name: "uk"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// fill makes a pool "pool" of n desktops.
func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	setup := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled}}}
	for i := range n {
		setup.Desktops = append(setup.Desktops, broker.Desktop{Name: fmt.Sprintf("d%05d", i), Pool: "pool", Host: "h"})
	}
	if _, err := s.ReplaceSetup(t.Context(), setup.WithDefaults(), 0, broker.LogRow{ID: newID()}); err != nil {
		t.Fatal(err)
	}
}

// record is a login of user with one offer out of the pool.
func record(user string) broker.LoginRecord {
	who, id := broker.Who{Directory: broker.LocalDirectory, User: user}, newID()
	n := &broker.NewSession{
		Session:   broker.Session{ID: id, Who: who, SiteID: 1, Grants: []broker.Grant{{Pool: "pool", MaxOffers: 1}}},
		TokenHash: broker.Token{SiteID: 1, Secret: [32]byte([]byte(strings.ReplaceAll(id, "-", "")))}.Hash(), Life: time.Hour,
	}
	return broker.LoginRecord{Who: who, NewSession: n, Log: broker.LogRow{ID: newID(), Kind: broker.LogLogin, Who: who, Session: id}}
}

// signIn logs user in and connects him to a desktop of the pool.
func signIn(ctx context.Context, s *Store, user string) (broker.Session, broker.Candidate, error) {
	out, err := s.Login(ctx, record(user))
	if err != nil {
		return broker.Session{}, broker.Candidate{}, err
	}
	c, err := s.Connect(ctx, broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Log: broker.LogRow{ID: newID()}})
	return *out.Session, c, err
}
