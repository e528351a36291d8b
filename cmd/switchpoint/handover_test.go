package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/broker"
	"switchpoint/broker/postgres"
	"switchpoint/configs"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
	"switchpoint/peer"
)

// member is a broker of a cluster with its peer node, as app wires them.
type member struct {
	*app
	held  chan struct{} // while it is open, the answers about sessions wait for its end
	hangs atomic.Bool
	asked atomic.Int32
	stop  func()
}

// startMember joins the cluster of the database; trust must follow.
func startMember(t testing.TB, cluster, url string, site int, change ...func(*broker.Options)) *member {
	t.Helper()
	m := &member{app: &app{log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}, held: make(chan struct{})}
	var err error
	must := func(what string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s of broker %d: %v", what, site, err)
		}
	}
	m.identity, err = peer.LoadIdentity(t.TempDir())
	must("identity")
	m.peer, err = peer.New(peer.Options{Config: peer.Config{Listen: "127.0.0.1:0"}, Identity: m.identity, Name: nthBroker(site), Log: m.log})
	must("peer node")
	m.store, err = postgres.Open(t.Context(), postgres.Options{URL: url, MaxConns: 4})
	must("store")
	o := broker.Options{
		Config: broker.Config{Cluster: cluster, SiteID: site, Listen: []string{"127.0.0.1:0"}},
		Name:   nthBroker(site), Datacenter: "uk", Store: m.store, Metrics: m.registry, AskSession: m.askSession, AskWaiting: m.askWaiting,
	}
	for _, c := range change {
		c(&o)
	}
	m.broker, err = broker.New(t.Context(), o)
	must("broker")
	m.peer.Handle(waitingMethod, m.answerWaiting)
	m.peer.Handle(sessionMethod, func(ctx context.Context, from peer.Trust, body []byte) ([]byte, error) {
		m.asked.Add(1)
		if m.hangs.Load() { // as a stopped process: the connection stands, and nothing comes
			select {
			case <-m.held:
			case <-ctx.Done():
			}
		}
		return m.answerSession(ctx, from, body)
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for what, run := range map[string]func(context.Context) error{"broker": m.broker.Run, "peer": m.peer.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("%s of broker %d: %v", what, site, err)
			}
		})
	}
	m.stop = sync.OnceFunc(func() {
		close(m.held)
		cancel()
		running.Wait()
		if err := m.store.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(m.stop)
	return m
}

// befriend makes all trust each other.
func befriend(t testing.TB, all ...*member) {
	t.Helper()
	var c peer.Config
	for _, m := range all {
		c.Trust = append(c.Trust, peer.Trust{
			Name: m.broker.Cluster() + "/" + m.broker.Node().Name, Cluster: m.broker.Cluster(), Key: m.identity.PublicKey(), Address: m.peer.Addr().String(),
		})
		if m.broker.Cluster() == "uk" {
			c.Trust[len(c.Trust)-1].Name = m.broker.Node().Name
		}
	}
	for _, m := range all {
		table, err := peer.Compile(c, m.identity.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		m.peer.SetTable(table)
		m.config.Store(&loaded{cfg: &configs.Config{Peer: &c}})
	}
}

// code refreshes the offers and gives the code of the refusal.
func (m *member) code(t *testing.T, token string) string {
	t.Helper()
	_, offers, err := m.broker.Offers(t.Context(), token, "192.0.2.7")
	refused, ok := errors.AsType[*broker.Refusal](err)
	switch {
	case ok:
		return refused.Code
	case err != nil:
		t.Fatal(err)
	case len(offers) != 1:
		t.Errorf("offers %+v", offers)
	}
	return ""
}

// lookups is how many sessions were found through whom.
func (m *member) lookups(t *testing.T, by string) float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			if f.GetName() == "switchpoint_broker_session_lookups_total" && s.GetLabel()[0].GetValue() == by {
				return s.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// databaseOf is the URL of another database of the same server.
func databaseOf(t *testing.T, dsn, name string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// TestHandOverOverPeers: five brokers over one PostgreSQL ask each other over mutual TLS. One that hangs
// costs 300 ms once, one that has gone costs nothing, and the session goes on; a broker of another
// cluster is told nothing.
func TestHandOverOverPeers(t *testing.T) {
	covers.Req(t, "LG2", "DC3")
	db := realserver.Postgres(t, realserver.PostgresOptions{Settings: map[string]string{"fsync": "off"}})
	db.Exec("CREATE DATABASE other")
	hash, err := broker.HashPassword("p")
	if err != nil {
		t.Fatal(err)
	}
	var all []*member
	for site := 1; site <= clusterSize; site++ {
		all = append(all, startMember(t, "uk", db.DSN, site))
	}
	befriend(t, all...)
	if _, err := all[0].broker.Apply(t.Context(), broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "floor", Kind: broker.KindPooled, Check: "none"}},
		Desktops:     []broker.Desktop{{Name: "floor-1", Pool: "floor", Host: "10.2.1.1"}},
		Policies:     []broker.Policy{{Name: "all", Pools: []string{"floor"}}},
		Users:        []broker.LocalUser{{Name: "anna", Password: hash}},
	}, false, "test"); err != nil {
		t.Fatal(err)
	}
	signIn := func() string {
		t.Helper()
		r := all[0].broker.Login(t.Context(), broker.LoginRequest{User: "anna", Password: "p"})
		if r.Token == "" {
			t.Fatalf("%+v", r)
		}
		return r.Token
	}

	// Every other broker finds the session at its first one.
	for _, m := range all[1:] {
		for deadline := time.Now().Add(20 * time.Second); m.lookups(t, "peer") == 0; { // it learns of the others with its beat
			if got := m.code(t, signIn()); got != "" {
				t.Fatalf("%s: %q", m.broker.Node().Name, got)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not ask the broker of the session", m.broker.Node().Name)
			}
		}
	}
	second, asked := all[1], all[0].asked.Load()
	token := signIn()
	if got := second.code(t, token); got != "" || all[0].asked.Load() != asked+1 {
		t.Fatalf("%q, asked %d times", got, all[0].asked.Load()-asked)
	}

	// It hangs, as one that got a SIGSTOP.
	all[0].hangs.Store(true)
	token = signIn()
	store := second.lookups(t, "store")
	began := time.Now()
	if got := second.code(t, token); got != "" || second.lookups(t, "store") != store+1 {
		t.Errorf("while it hangs: %q", got)
	}
	if took := time.Since(began); took < 250*time.Millisecond || took > 5*time.Second {
		t.Errorf("the answer took %s", took)
	}

	// A broker of another cluster is trusted, and yet no broker of this one.
	question, err := json.Marshal(broker.SessionQuestion{TokenHash: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	all[0].hangs.Store(false)
	stranger := startMember(t, "us", databaseOf(t, db.DSN, "other"), 1)
	befriend(t, append(all, stranger)...)
	out, err := stranger.peer.Call(t.Context(), nthBroker(1), sessionMethod, question)
	if remote, ok := errors.AsType[*peer.RemoteError](err); !ok || remote.Code != codeOtherCluster {
		t.Errorf("a broker of another cluster gets %q, %v", out, err)
	}
	if _, err := all[1].peer.Call(t.Context(), nthBroker(1), sessionMethod, []byte(`{"token_hash":"AAAA"}`)); err == nil {
		t.Error("half a hash is answered")
	}

	// It is gone: the session goes on at all others.
	all[0].stop()
	for _, m := range all[1:] {
		if got := m.code(t, token); got != "" {
			t.Errorf("%s, without the broker of the session: %q", m.broker.Node().Name, got)
		}
	}
	if got := second.code(t, broker.Token{SiteID: 1}.String()); got != broker.CodeSessionExpired {
		t.Errorf("a token of nobody: %q", got)
	}
}
