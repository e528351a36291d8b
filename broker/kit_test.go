package broker_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
	"switchpoint/directory"
	"switchpoint/directory/demodir"
	"switchpoint/redirect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is one database with the brokers that a test starts on it.
type cluster struct {
	t    *testing.T
	path string
	name string
}

func newCluster(t *testing.T) *cluster {
	return &cluster{t: t, path: filepath.Join(t.TempDir(), "broker.db"), name: "uk"}
}

// store opens another handle: as much of another process as matters here.
func (c *cluster) store() *sqlite.Store {
	c.t.Helper()
	s, err := sqlite.Open(c.t.Context(), c.path, sqlite.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { s.Close() })
	return s
}

// running is a broker under Run.
type running struct {
	*broker.Broker
	store *sqlite.Store
	stop  func() error // ends Run and returns its error
}

// start brings up the broker with that site id; change may alter its options.
func (c *cluster) start(site int, change func(*broker.Options)) *running {
	c.t.Helper()
	o := broker.Options{
		Config:     broker.Config{Cluster: c.name, SiteID: site, Listen: []string{"127.0.0.1:0"}},
		Name:       "broker-" + string(rune('0'+site)),
		Datacenter: "london", Version: "test", Store: c.store(), Monitors: []string{"alive"},
	}
	if change != nil {
		change(&o)
	}
	b, err := broker.New(c.t.Context(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	r := &running{Broker: b}
	r.store, _ = o.Store.(*sqlite.Store) // a test may put another in front of it
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	c.t.Cleanup(func() { r.stop() })
	return r
}

// fill makes s the setup and waits until r serves with it.
func (r *running) fill(t *testing.T, s broker.Setup) {
	t.Helper()
	if _, err := r.Apply(t.Context(), s, false, "test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker serves", func() bool { return r.Alive().Status == 200 })
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

// serveDirectory runs the demo directory until the test ends or stop is called.
func serveDirectory(t *testing.T, listen string) (address string, stop func()) {
	t.Helper()
	d, err := demodir.New(demodir.Options{Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return d.Addr().String(), stop
}

// corp is the demo directory at address as a [[directory]].
func corp(t *testing.T, address string) broker.Directory {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(secret, []byte(demodir.ServicePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	return broker.Directory{Config: directory.Config{
		Name: "corp", Servers: []string{"ldap://" + address}, BaseDN: demodir.BaseDN,
		BindDN: demodir.ServiceDN, BindPassword: "file:" + secret, Timeout: time.Second,
	}}
}

// ukRules sends the US home.
func ukRules() *redirect.Config {
	return &redirect.Config{Attribute: "distinguishedName", Match: "contains", Rules: `
# staff always, travellers only if there is something to go to
OU=Staff,OU=US > us
OU=Travellers,OU=US > us if_assigned_only`}
}

func us() redirect.Destination {
	return redirect.Destination{Name: "us", URL: "https://cb.us.company.com", Cluster: "us", Monitor: "alive"}
}

// ukSetup is the cluster of the UK: bob has a desktop, everybody shares a pool of two.
func ukSetup(d ...broker.Directory) broker.Setup {
	return broker.Setup{
		Directories:  d,
		Destinations: []redirect.Destination{us()},
		DesktopPools: []broker.DesktopPool{{Name: "own", Kind: "assigned", Check: "none"}, {Name: "floor", Kind: "pooled", Check: "none"}},
		Desktops: []broker.Desktop{
			{Name: "uk-bob", Pool: "own", Host: "10.2.0.1"},
			{Name: "uk-floor-1", Pool: "floor", Host: "10.2.1.1"}, {Name: "uk-floor-2", Pool: "floor", Host: "10.2.1.2"},
		},
		Policies:    []broker.Policy{{Name: "all", Pools: []string{"floor"}}},
		Assignments: []broker.Assignment{{User: "Bob", Desktop: "uk-bob"}},
	}
}

func login(user, password string) broker.LoginRequest {
	return broker.LoginRequest{User: user, Password: password, ClientName: "tc", ClientAddr: "192.0.2.7"}
}

// mustLogin signs in and expects offers.
func (r *running) mustLogin(t *testing.T, user string) broker.LoginResult {
	t.Helper()
	res := r.Login(t.Context(), login(user, user+"-demo"))
	if res.Token == "" || len(res.Offers) == 0 {
		t.Fatalf("login of %s: %+v", user, res)
	}
	return res
}

// code is the refusal code of an error or of a login.
func code(r *broker.Refusal) string {
	if r == nil {
		return ""
	}
	return r.Code
}

func refusalCode(err error) string {
	if r, ok := err.(*broker.Refusal); ok {
		return r.Code
	}
	return ""
}
