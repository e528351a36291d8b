package hostcache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"switchpoint/broker"
	"switchpoint/broker/postgres"
	"switchpoint/broker/sqlite"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(child(text))
	}
	goleak.VerifyTestMain(m)
}

// store is a store of a cluster.
type store interface {
	broker.Store
	broker.CacheSource
	Close() error
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

func row(kind string) broker.LogRow { return broker.LogRow{ID: id(), Kind: kind, SiteID: 1} }

func local(user string) broker.Who { return broker.Who{Directory: broker.LocalDirectory, User: user} }

// embedded is an empty cluster on SQLite.
func embedded(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openPostgres(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// company is a setup with so many desktops of users' own and in one pool.
func company(own, pooled int) broker.Setup {
	s := broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "own", Kind: broker.KindAssigned, Check: "none"}, {Name: "pool", Kind: broker.KindPooled, Check: "none"}},
		Policies:     []broker.Policy{{Name: "all", Pools: []string{"pool"}}},
	}
	for i := range own {
		name := fmt.Sprintf("own%06d", i)
		s.Desktops = append(s.Desktops, broker.Desktop{Name: name, Pool: "own", Host: fmt.Sprintf("%s.desktops.company.example", name), Tags: []string{"floor 3"}})
		s.Assignments = append(s.Assignments, broker.Assignment{User: fmt.Sprintf("user%06d", i), Desktop: name})
	}
	for i := range pooled {
		name := fmt.Sprintf("pool%06d", i)
		s.Desktops = append(s.Desktops, broker.Desktop{Name: name, Pool: "pool", Host: fmt.Sprintf("%s.desktops.company.example", name)})
	}
	return s.WithDefaults()
}

// fill makes the store a cluster with that setup.
func fill(t testing.TB, s broker.Store, setup broker.Setup) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := s.Join(ctx, broker.Node{Name: "cb1", SiteID: 1, Version: "1", Booted: time.Now()}, broker.Cluster{Name: "uk"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	version, err := s.SetupVersion(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReplaceSetup(ctx, setup, version, row(broker.LogSetup)); err != nil {
		t.Fatal(err)
	}
}

// signIn logs user in and connects him to a desktop of the pool.
func signIn(t testing.TB, s broker.Store, user string) broker.Session {
	t.Helper()
	n := &broker.NewSession{
		Session:   broker.Session{ID: id(), Who: local(user), SiteID: 1, Grants: []broker.Grant{{Pool: "pool", MaxOffers: 1}}},
		TokenHash: tokenOf(user), Life: time.Hour,
	}
	out, err := s.Login(t.Context(), broker.LoginRecord{Who: n.Who, NewSession: n, Log: row(broker.LogLogin)})
	if err != nil || out.Session == nil {
		t.Fatal(out, err)
	}
	for _, o := range out.Offers {
		if o.Kind != broker.KindPooled {
			continue
		}
		if _, err := s.Connect(t.Context(), broker.ConnectRecord{Session: *out.Session, Offer: o.ID, Log: row(broker.LogConnect)}); err != nil {
			t.Fatal(err)
		}
	}
	return *out.Session
}

func tokenOf(user string) [32]byte {
	t := broker.Token{SiteID: 1}
	copy(t.Secret[:], user)
	return t.Hash()
}

// newCache is a host cache of s in a folder of its own.
func newCache(t testing.TB, s Source, change func(*Options)) *Cache {
	t.Helper()
	o := Options{Source: s, Dir: t.TempDir()}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustSync(t testing.TB, c *Cache, want string) Synced {
	t.Helper()
	out, err := c.Sync(t.Context())
	if err != nil || out.Result != want {
		t.Fatalf("%+v, %v; want %s", out, err, want)
	}
	return out
}
