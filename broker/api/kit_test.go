package api_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/broker/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a broker with its server under Run.
type site struct {
	*api.Server
	broker *broker.Broker
	client *http.Client // with cookies, trusts the certificate, follows no redirect
	url    string
	roots  *x509.CertPool
	// certDir holds the certificate's files.
	certDir string
	stop    func()
}

// config is what tests vary.
type config struct {
	db      string
	id      int
	plain   bool
	metrics prometheus.Registerer
	config  broker.Config
	// adminToken is what XML-RPC asks for; wrap puts another store before the real one.
	adminToken string
	wrap       func(broker.Store) broker.Store
	// twin is a site whose certificate this one has, too; cluster is its cluster, "uk" unless given.
	twin    *site
	cluster string
	// askWaiting is the way to the other brokers of the cluster.
	askWaiting func(context.Context, string, broker.WaitingQuestion) (broker.WaitingAnswer, error)
}

// start brings a broker up on a free port, over TLS unless plain.
func start(t *testing.T, c config) *site {
	t.Helper()
	if c.db == "" {
		c.db = filepath.Join(t.TempDir(), "broker.db")
	}
	store, err := sqlite.Open(t.Context(), c.db, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c.config.Cluster, c.config.SiteID, c.config.Listen = cmp.Or(c.cluster, "uk"), max(1, c.id), []string{"127.0.0.1:0"}
	var use broker.Store = store
	if c.wrap != nil {
		use = c.wrap(store)
	}
	b, err := broker.New(t.Context(), broker.Options{
		Config: c.config, Name: "broker-" + string(rune('0'+max(1, c.id))), Datacenter: "london", Version: "test",
		Store: use, Monitors: []string{"alive"}, Metrics: c.metrics, AskWaiting: c.askWaiting,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{broker: b, roots: x509.NewCertPool(), url: "http://"}
	o := api.Options{Broker: b, Listen: c.config.Listen, TrustedProxies: c.config.TrustedProxies, AdminToken: c.adminToken, Metrics: c.metrics}
	switch {
	case c.twin != nil:
		s.certDir, s.roots, s.url = c.twin.certDir, c.twin.roots, "https://"
		o.Cert, o.Key = filepath.Join(s.certDir, "cert.pem"), filepath.Join(s.certDir, "key.pem")
	case !c.plain:
		s.certDir = t.TempDir()
		o.Cert, o.Key = certificate(t, s.certDir, s.roots)
		s.url = "https://"
	}
	if s.Server, err = api.New(o); err != nil {
		t.Fatal(err)
	}
	s.url += s.Addr().String()
	stopServer, stopBroker := background(t, s.Run), background(t, b.Run)
	s.client = browser(t, s.roots)
	s.stop = sync.OnceFunc(func() { s.client.CloseIdleConnections(); stopServer(); stopBroker() }) // in the order of the program
	t.Cleanup(s.stop)
	return s
}

// background runs something; stop ends it and waits.
func background(t *testing.T, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil {
			t.Error(err)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// browser is a client with cookies that shows redirects instead of following them.
func browser(t *testing.T, roots *x509.CertPool) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: tr, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// certificate writes a self-signed one for 127.0.0.1 into dir and adds it to roots.
func certificate(t *testing.T, dir string, roots *x509.CertPool) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", keyDER)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(parsed)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// localSetup has users anna and bert with the password "p"; anna has a desktop, both share a
// pool of two.
func localSetup(t *testing.T) broker.Setup {
	t.Helper()
	hash, err := broker.HashPassword("p")
	if err != nil {
		t.Fatal(err)
	}
	return broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "own", Kind: "assigned", Check: "none"}, {Name: "floor", Kind: "pooled", Check: "none"}},
		Desktops: []broker.Desktop{
			{Name: "anna-pc", Pool: "own", Host: "10.0.0.1"},
			{Name: "floor-1", Pool: "floor", Host: "10.0.1.1"}, {Name: "floor-2", Pool: "floor", Host: "10.0.1.2"},
		},
		Policies:    []broker.Policy{{Name: "all", Pools: []string{"floor"}}},
		Assignments: []broker.Assignment{{User: "anna", Desktop: "anna-pc"}},
		Users:       []broker.LocalUser{{Name: "anna", Password: hash}, {Name: "bert", Password: hash}},
	}
}

func (s *site) fill(t *testing.T, setup broker.Setup) {
	t.Helper()
	if _, err := s.broker.Apply(t.Context(), setup, false, "test"); err != nil {
		t.Fatal(err)
	}
}
