package lb

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/healthcheck"
)

const ms = time.Millisecond

func noRef(healthcheck.Key) healthcheck.Ref { return healthcheck.NoRef }

// backend is a real HTTP server that answers with its name.
type backend struct {
	addr string
	srv  *http.Server
	done chan struct{}
}

func startBackend(t *testing.T, h http.Handler) *backend {
	t.Helper()
	return startBackendOn(t, "127.0.0.1:0", h)
}

func startBackendOn(t *testing.T, addr string, h http.Handler) *backend {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: ln.Addr().String(), srv: &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		_ = b.srv.Serve(ln)
	}()
	t.Cleanup(b.kill)
	return b
}

// kill closes listener and connections at once.
func (b *backend) kill() {
	_ = b.srv.Close()
	<-b.done
}

// says answers every request with name.
func says(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, name)
	})
}

func members(bs ...*backend) []Member {
	var ms []Member
	for i, b := range bs {
		ms = append(ms, Member{Name: string(rune('a' + i)), Address: b.addr})
	}
	return ms
}

// plainConfig is one HTTP listener over one pool, round robin without persistence.
func plainConfig(ms []Member) Config {
	return Config{
		Listeners: []Listener{{Name: "front", Listen: "127.0.0.1:0", Pool: "brokers", RequestID: "none"}},
		Pools:     []Pool{{Name: "brokers", Method: "round-robin", Persistence: "none", Members: ms}},
	}
}

// running is a proxy under test.
type running struct {
	*Proxy
	t    testing.TB
	addr string
	stop func() error // ends Run and gives its error; may be called once by the test itself
}

func start(t testing.TB, cfg Config, tune ...func(*Options)) *running {
	t.Helper()
	o := Options{Listeners: cfg.Listeners, DrainTimeout: 2 * time.Second}
	for _, f := range tune {
		f(&o)
	}
	return startWith(t, cfg, o, noRef)
}

func startWith(t testing.TB, cfg Config, o Options, ref func(healthcheck.Key) healthcheck.Ref) *running {
	t.Helper()
	table, err := Compile(cfg, ref)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetTable(table); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	r := &running{Proxy: p, t: t, addr: p.Addr()[cfg.Listeners[0].Name].String()}
	stopped := false
	r.stop = func() error {
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if !stopped {
			if err := r.stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	})
	return r
}

// reload compiles cfg and puts it to work.
func (r *running) reload(cfg Config) {
	r.t.Helper()
	table, err := Compile(cfg, noRef)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.SetTable(table); err != nil {
		r.t.Fatal(err)
	}
}

// client is an HTTP client with its own connections, closed at the end of the test.
func client(t *testing.T, cfg *tls.Config) *http.Client {
	tr := &http.Transport{TLSClientConfig: cfg, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// raw sends bytes and reads all that comes until the other side closes.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return rawOn(t, c, request)
}

func rawOn(t *testing.T, c net.Conn, request string) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", out, err)
	}
	return string(out)
}

// rawBackend answers each connection with what answer says after it has read one request head;
// the connection is closed after the answer. An empty answer closes at once.
func rawBackend(t *testing.T, answer func(n int, head string) string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(c, answer(n, readHead(bufio.NewReader(c))))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

func readHead(br *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := br.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// authority is a certificate authority for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
	file string // PEM of cert
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.key = newKey(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issue writes a certificate for host and its key, and gives the two file names.
func (a *authority) issue(t *testing.T, name string, serial int64, hosts ...string) (cert, key string) {
	t.Helper()
	return a.issueFor(t, newKey(t), name, serial, hosts...)
}

// issueRSA is issue with a key of the old kind.
func (a *authority) issueRSA(t *testing.T, name string, serial int64, hosts ...string) (cert, key string) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return a.issueFor(t, k, name, serial, hosts...)
}

func (a *authority) issueFor(t *testing.T, k crypto.Signer, name string, serial int64, hosts ...string) (cert, key string) {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return a.write(t, name+".crt", "CERTIFICATE", der), a.write(t, name+".key", "PRIVATE KEY", keyDER)
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}
