package outage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/broker/postgres"
	"switchpoint/internal/realserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a cluster's database with one broker's store on it.
type world struct {
	*Store
	t       testing.TB
	server  *realserver.PostgresServer
	dsn     string
	cable   *cable // between broker and server, where there is one
	outage  broker.Outage
	site    int            // of the broker; 0: 1
	change  func(*Options) // before the store is made; may be nil
	lost    time.Time      // when the database began to go
	leave   func()         // lets those go who have its connections
	hold    time.Duration  // for how long it is held down; 0: as by default
	primary *postgres.Store
	dir     string
	member  broker.Membership
	stop    func()
}

func who(user string) broker.Who { return broker.Who{Directory: broker.LocalDirectory, User: user} }

func row(kind, user string) broker.LogRow {
	return broker.LogRow{ID: uuid.Must(uuid.NewV7()).String(), Ref: "1-" + uuid.NewString()[:8], Kind: kind, Who: who(user), SiteID: 1, ClientAddr: "192.0.2.1"}
}

// newWorld fills the database and joins.
func newWorld(t testing.TB) *world { return newWorldOn(t, startServer(t)) }

func startServer(t testing.TB) *realserver.PostgresServer {
	return realserver.Postgres(t, realserver.PostgresOptions{Settings: map[string]string{"max_connections": "30"}})
}

func newWorldOn(t testing.TB, server *realserver.PostgresServer) *world {
	return newWorldWith(t, &world{server: server, dsn: server.DSN})
}

// newWorldWith fills the database, if it is empty, and joins.
func newWorldWith(t testing.TB, w *world) *world {
	t.Helper()
	w.t, w.dir = t, t.TempDir()
	if w.outage.Mode == "" {
		w.outage = broker.Outage{Mode: broker.OutageAuto, Profile: broker.OutageFast, CacheEvery: time.Hour, CacheMaxAge: time.Hour}
	}
	w.open()
	setup := broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "own", Kind: broker.KindAssigned, Check: "none"}, {Name: "shared", Kind: broker.KindPooled, Check: "none"}},
		Desktops:     []broker.Desktop{{Name: "anna-pc", Pool: "own", Host: "192.0.2.50"}, {Name: "s1", Pool: "shared", Host: "192.0.2.51"}, {Name: "s2", Pool: "shared", Host: "192.0.2.52"}},
		Assignments:  []broker.Assignment{{User: "anna", Directory: broker.LocalDirectory, Desktop: "anna-pc"}},
	}
	var version int64
	var err error
	eventually(t, "the database answers", time.Minute, func() bool { // its schema is made first
		version, err = w.primary.SetupVersion(t.Context())
		return !errors.Is(err, broker.ErrUnavailable)
	})
	if err == nil && version == 0 {
		_, err = w.primary.ReplaceSetup(t.Context(), setup.WithDefaults(), 0, row(broker.LogSetup, ""))
	}
	if err != nil {
		t.Fatal(err)
	}
	w.join()
	return w
}

// open makes the store as a process that starts does.
func (w *world) open() {
	w.t.Helper()
	var err error
	dsn := w.dsn
	if w.cable != nil {
		dsn = strings.Replace(dsn, w.server.Addr, w.cable.listener.Addr().String(), 1)
	}
	if w.primary, err = postgres.Open(w.t.Context(), postgres.Options{URL: dsn, MaxConns: 8, Later: true}); err != nil {
		w.t.Fatal(err)
	}
	o := Options{
		Config: w.outage,
		Dir:    w.dir, Name: "b", Primary: w.primary,
		Beat: func(ctx context.Context) error { return w.primary.Heartbeat(ctx, w.member, broker.Beat{}) },
	}
	if w.change != nil {
		w.change(&o)
	}
	if w.Store, err = New(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
	w.profile.Stable = time.Second
	if w.hold > 0 {
		w.profile.Hold = w.hold
	}
}

func (w *world) join() {
	w.t.Helper()
	m, err := w.Join(w.t.Context(), broker.Node{SiteID: cmp.Or(w.site, 1), Name: w.o.Name, Version: "v1.0.0", UUID: "u-" + w.o.Name, Booted: time.Now()}, broker.Cluster{Name: "us"}, time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	w.member = m
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		if err := w.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stop)
}

// record is a login that its policy grants the shared pool.
func record(user string) (broker.LoginRecord, [32]byte) {
	id := uuid.Must(uuid.NewV7()).String()
	hash := sha256.Sum256([]byte(id))
	log := row(broker.LogLogin, user)
	log.Session = id
	return broker.LoginRecord{Who: who(user), KeyLife: time.Hour, Log: log, NewSession: &broker.NewSession{
		Session:   broker.Session{ID: id, Who: who(user), SiteID: 1, ClientAddr: "192.0.2.1", Grants: []broker.Grant{{Pool: "shared", MaxOffers: 1}}},
		TokenHash: hash, Life: time.Hour, EmptyCode: broker.CodeNoDesktop,
	}}, hash
}

// login signs a user in and says how long that took.
func (w *world) login(user string) (broker.Session, []broker.Offer, [32]byte, time.Duration) {
	w.t.Helper()
	r, hash := record(user)
	began := time.Now()
	out, err := w.Login(w.t.Context(), r)
	if err != nil || out.Session == nil {
		w.t.Fatalf("login of %s in mode %s: %+v, %v", user, w.State().Mode, out, err)
	}
	return *out.Session, out.Offers, hash, time.Since(began)
}

func (w *world) connect(s broker.Session, o broker.Offer) (broker.Candidate, error) {
	log := row(broker.LogConnect, s.User)
	log.Session = s.ID
	return w.Connect(w.t.Context(), broker.ConnectRecord{Session: s, Offer: o.ID, Log: log})
}

func (w *world) logout(s broker.Session) error {
	log := row(broker.LogLogout, s.User)
	log.Session = s.ID
	_, err := w.Logout(w.t.Context(), s.ID, log)
	return err
}

// until waits for a mode.
func (w *world) until(m mode.Mode, within time.Duration) time.Duration {
	w.t.Helper()
	began := time.Now()
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%+v, %d acts", w.State(), w.node.unmerged())
		}
	}()
	eventually(w.t, fmt.Sprintf("mode %s", m), within, func() bool { return w.State().Mode == m })
	return time.Since(began)
}

func eventually(t testing.TB, what string, within time.Duration, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}
