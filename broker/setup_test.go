package broker_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sync/errgroup"

	"switchpoint/broker"
	"switchpoint/directory/demodir"
	"switchpoint/healthcheck"
	"switchpoint/internal/problem"
	"switchpoint/redirect"
)

// TestApply: a change reaches every broker, and is refused as a whole when it is wrong.
func TestApply(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.start(1, nil), c.start(2, nil)
	s := localSetup(t)
	s.Desktops = []broker.Desktop{{Name: "d1", Pool: "floor", Host: "h"}}
	dry, err := a.Apply(t.Context(), s, true, "admin")
	if err != nil || len(dry) != 14 {
		t.Fatalf("dry run: %v, %v", dry, err)
	}
	if v, err := a.store.SetupVersion(t.Context()); err != nil || v != 0 {
		t.Fatalf("a dry run wrote version %d, %v", v, err)
	}
	a.fill(t, s)
	eventually(t, "the other broker has it", func() bool { return b.Login(t.Context(), login("u0", "p")).Token != "" })
	if changes, err := b.Apply(t.Context(), s, false, "admin"); err != nil || len(changes) != 0 {
		t.Errorf("applying the same again: %v, %v", changes, err)
	}
	s.Desktops[0].Host = "other"
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "d2", Pool: "floor", Host: "h"})
	s.Users = s.Users[:9]
	changes, err := b.Apply(t.Context(), s, false, "admin")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range changes {
		lines = append(lines, c.String())
	}
	if want := []string{"change desktop d1: host", "add desktop d2", "remove user u9"}; !slices.Equal(lines, want) {
		t.Errorf("changes %q, want %q", lines, want)
	}
	s.Desktops[1].Pool = "nowhere"
	list, ok := errors.AsType[problem.List](func() error { _, err := b.Apply(t.Context(), s, false, "admin"); return err }())
	if !ok || len(list) != 1 || list[0].Path != "desktop[1].pool" {
		t.Errorf("a wrong setup: %v", list)
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.start(1, nil), c.start(2, nil)
	s := localSetup(t)
	s.Desktops = []broker.Desktop{{Name: "d1", Pool: "floor", Host: "h"}}
	if seeded, err := a.Seed(t.Context(), s); err != nil || !seeded {
		t.Fatalf("%v, %v", seeded, err)
	}
	if seeded, err := b.Seed(t.Context(), broker.Setup{}); err != nil || seeded {
		t.Errorf("a filled database was seeded: %v, %v", seeded, err)
	}
	if res := b.Login(t.Context(), login("u0", "p")); res.Token == "" {
		t.Errorf("the second broker does not use what it found: %+v", res)
	}
	s.Policies[0].Pools = []string{"nowhere"}
	if _, err := newCluster(t).start(1, nil).Seed(t.Context(), s); err == nil {
		t.Error("a wrong seed was accepted")
	}
}

// TestUnreadableSecret: a setup that cannot be used is not stored; one that is stored already is
// used as soon as it can be.
func TestUnreadableSecret(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	reg := prometheus.NewRegistry()
	b := newCluster(t).start(1, func(o *broker.Options) { o.Metrics = reg })
	failed := func() bool {
		return testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP switchpoint_broker_setup_failed 1 while the newest setup in the database cannot be used and an older one serves.
# TYPE switchpoint_broker_setup_failed gauge
switchpoint_broker_setup_failed 1
`), "switchpoint_broker_setup_failed") == nil
	}
	home := corp(t, address)
	secret := filepath.Join(t.TempDir(), "later")
	home.BindPassword = "file:" + secret
	s := ukSetup(home)
	for _, dryRun := range []bool{true, false} {
		if _, err := b.Apply(t.Context(), s, dryRun, "admin"); err == nil || !strings.Contains(err.Error(), secret) {
			t.Errorf("an unreadable secret: %v", err)
		}
	}
	if v, err := b.store.SetupVersion(t.Context()); err != nil || v != 0 {
		t.Fatalf("version %d was stored, %v", v, err)
	}
	if _, err := b.store.ReplaceSetup(t.Context(), s.WithDefaults(), 0, broker.LogRow{ID: "by another broker"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker tells of the setup that it cannot use", failed)
	if err := os.WriteFile(secret, []byte(demodir.ServicePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the setup is used", func() bool { return b.Login(t.Context(), login("bob", "bob-demo")).Token != "" })
}

// TestMembership: the site id is unique among live brokers, and the newest process has it.
func TestMembership(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a := c.start(1, nil)
	o := broker.Options{Config: broker.Config{Cluster: "uk", SiteID: 1, Listen: []string{"127.0.0.1:0"}}, Name: "another", Store: c.store()}
	if _, err := broker.New(t.Context(), o); !errors.Is(err, broker.ErrConflict) || !strings.Contains(err.Error(), "broker-1") {
		t.Errorf("a second broker with the site id: %v", err)
	}
	again := c.start(1, nil) // the same name: a restart
	eventually(t, "the replaced process says 503", func() bool { return a.Alive().Status == 503 })
	if res := a.Login(t.Context(), login("x", "y")); code(res.Refusal) != broker.CodeStopped {
		t.Errorf("the replaced process signs in: %+v", res)
	}
	if err := a.stop(); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the replaced process ended with %v", err)
	}
	list, err := again.Brokers(t.Context())
	if err != nil || len(list) != 1 || list[0].Stopped || list[0].Epoch != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := again.stop(); err != nil {
		t.Error(err)
	}
	if list, err = c.store().Brokers(t.Context()); err != nil || !list[0].Stopped {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestDestinationHealth: whether a destination is available comes from the snapshot, so the
// next matching rule is used without waiting (RD2, RD7, RD9).
func TestDestinationHealth(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	var status [2]atomic.Int32
	var sites [2]*httptest.Server
	for i := range sites {
		status[i].Store(200)
		sites[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(int(status[i].Load()))
			w.Write([]byte("CB_IS_OKAY"))
		}))
		defer sites[i].Close()
	}
	engine := healthcheck.New(healthcheck.Options{})
	monitors := []healthcheck.Monitor{{Name: "alive", Kind: "http", Interval: 40 * time.Millisecond, Timeout: 30 * time.Millisecond, Fall: 1, Rise: 1}}
	g, ctx := errgroup.WithContext(t.Context())
	ctx, cancel := context.WithCancel(ctx)
	g.Go(func() error { return engine.Run(ctx) })
	defer func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.Ref, o.Snapshot = engine.Ref, engine.Snapshot
		o.SetChecks = func(_ []healthcheck.Monitor, keys []healthcheck.Key) {
			table, err := healthcheck.Compile(healthcheck.Config{Monitors: monitors, Checks: keys})
			if err != nil {
				t.Error(err)
				return
			}
			engine.SetTable(table)
		}
	})
	home := corp(t, address)
	home.Redirect = &redirect.Config{Attribute: "distinguishedName", Match: "contains", Rules: "OU=US > boston\nOU=US > dallas"}
	s := ukSetup(home)
	s.Destinations = []redirect.Destination{
		{Name: "boston", URL: sites[0].URL, Cluster: "boston", Monitor: "alive"},
		{Name: "dallas", URL: sites[1].URL, Cluster: "dallas", Monitor: "alive"},
	}
	b.fill(t, s)
	where := func() string {
		res := b.Login(t.Context(), login("alice", "alice-demo"))
		if res.Refusal != nil {
			return res.Refusal.Code
		}
		return res.Redirect
	}
	goes := func(want string) {
		t.Helper()
		eventually(t, "alice goes to "+want, func() bool { return where() == want })
	}
	goes(sites[0].URL)
	status[0].Store(500)
	goes(sites[1].URL)
	status[1].Store(503) // overloaded still serves
	goes(sites[1].URL)
	status[1].Store(500)
	goes(broker.CodeHomeUnavailable)
	status[0].Store(200)
	goes(sites[0].URL)
	home.Redirect.HomeUnavailable = "log-in-here"
	s.Directories[0] = home
	b.fill(t, s)
	status[0].Store(500)
	eventually(t, "alice is served here", func() bool { return b.Login(t.Context(), login("alice", "alice-demo")).Token != "" })
}

// TestSignInsReport: with a monitor the directory's server is a check, and how sign-ins fare there
// is reported to it (HK2).
func TestSignInsReport(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	var keys atomic.Pointer[[]healthcheck.Key]
	var reports atomic.Int32
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.Monitors = append(o.Monitors, "ldap")
		o.Ref = func(healthcheck.Key) healthcheck.Ref { return 7 }
		o.SetChecks = func(_ []healthcheck.Monitor, k []healthcheck.Key) { keys.Store(&k) }
		o.Report = func(r healthcheck.Ref, got healthcheck.Outcome) {
			if r != 7 || got.Traffic != healthcheck.Answered {
				t.Errorf("report of %d: %+v", r, got)
			}
			reports.Add(1)
		}
	})
	home := corp(t, address)
	home.Monitor = "ldap"
	b.fill(t, ukSetup(home))
	if got := *keys.Load(); !slices.Contains(got, healthcheck.Key{Address: address, Monitor: "ldap"}) {
		t.Errorf("checks %v", got)
	}
	before := reports.Load()
	eventually(t, "bob signs in", func() bool { return b.Login(t.Context(), login("bob", "bob-demo")).Token != "" })
	if reports.Load() < before+2 {
		t.Errorf("%d reports for a search and a bind", reports.Load()-before)
	}
}

// TestExplain follows a login without a password.
func TestExplain(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	b := newCluster(t).start(1, nil)
	home := corp(t, address)
	home.Redirect = ukRules()
	b.fill(t, ukSetup(home))
	x, err := b.Explain(t.Context(), "alice", "", "")
	if err != nil || x.Action != "forward" || x.Destination != "us" || x.URL != "https://cb.us.company.com" || x.Rule != "OU=Staff,OU=US > us" || x.DN == "" {
		t.Errorf("alice: %+v, %v", x, err)
	}
	x, err = b.Explain(t.Context(), "bob", "corp", "")
	if err != nil || x.Action != "log-in-here" || len(x.Offers) != 2 || !strings.HasPrefix(x.Offers[0], "uk-bob (assigned") || !strings.Contains(strings.Join(x.Reason, "\n"), `policy "all"`) {
		t.Errorf("bob: %+v, %v", x, err)
	}
	x, err = b.Explain(t.Context(), "nobody", "", "")
	if err != nil || x.Action != "refused" || len(x.Reason) == 0 {
		t.Errorf("nobody: %+v, %v", x, err)
	}
	if yes, err := b.AnswerAssigned(t.Context(), broker.AssignedQuestion{Directory: "corp", User: "BOB"}); err != nil || !yes {
		t.Errorf("bob is assigned: %v, %v", yes, err)
	}
	if yes, err := b.AnswerAssigned(t.Context(), broker.AssignedQuestion{Directory: "other", User: "bob"}); err == nil || yes {
		t.Errorf("a directory that nobody knows: %v, %v", yes, err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	b := newCluster(t).start(1, func(o *broker.Options) { o.Metrics = reg })
	s := localSetup(t)
	s.Desktops = []broker.Desktop{{Name: "d1", Pool: "floor", Host: "127.0.0.1", Port: 1}}
	b.fill(t, s)
	in := b.Login(t.Context(), login("u0", "p"))
	b.connect(t, in.Token, in.Offers[0].ID)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	const want = `
# HELP switchpoint_broker_logins_total Logins by result: offers, redirect, prompt, or the code of the refusal.
# TYPE switchpoint_broker_logins_total counter
switchpoint_broker_logins_total{result="offers"} 1
# HELP switchpoint_broker_connects_total Connects by result: ok, or the code of the refusal.
# TYPE switchpoint_broker_connects_total counter
switchpoint_broker_connects_total{result="desktop-unreachable"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "switchpoint_broker_logins_total", "switchpoint_broker_connects_total"); err != nil {
		t.Error(err)
	}
}

// TestDatabaseLocked: while nobody can write the database, is_alive says 503 and logins are
// refused with a reason; it recovers by itself.
func TestDatabaseLocked(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	b := c.start(1, nil)
	s := localSetup(t)
	s.Desktops = []broker.Desktop{{Name: "d1", Pool: "floor", Host: "h"}}
	b.fill(t, s)
	db, err := sql.Open("sqlite", c.path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "is_alive says 503", func() bool { return b.Alive().Status == 503 })
	if res := b.Login(t.Context(), login("u0", "p")); code(res.Refusal) != broker.CodeStoreUnavailable || res.Refusal.RetryAfter == 0 {
		t.Errorf("%+v", res)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it recovers", func() bool { return b.Alive().Status == 200 })
	if res := b.Login(t.Context(), login("u0", "p")); res.Token == "" {
		t.Errorf("%+v", res)
	}
}
