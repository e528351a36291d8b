package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server until the test ends.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func options(t *testing.T) Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "adm") // short: it holds a Unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return Options{
		Socket:  filepath.Join(dir, SocketName),
		Log:     slog.New(slog.DiscardHandler),
		Metrics: prometheus.NewRegistry(),
		Ready:   func() error { return nil },
		Routes: map[string]Operation{
			"GET echo": func(_ context.Context, r Request) (any, error) {
				return map[string]string{"said": r.Query.Get("say")}, nil
			},
			"POST refuse": func(context.Context, Request) (any, error) {
				return nil, &Error{Status: http.StatusConflict, Text: "not now"}
			},
			"GET broken": func(context.Context, Request) (any, error) { return nil, errors.New("it broke") },
		},
	}
}

func TestSocket(t *testing.T) {
	o := options(t)
	ready := errors.New("still waiting")
	o.Ready = func() error { return ready }
	start(t, o)
	info, err := os.Stat(o.Socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("socket mode %v, %v", info, err)
	}
	c := NewClient(o.Socket)
	var out map[string]string
	if err := c.Do(t.Context(), "GET", "echo?say=hello", nil, &out); err != nil || out["said"] != "hello" {
		t.Errorf("%v, %v", out, err)
	}
	var refused *Error
	if err := c.Do(t.Context(), "POST", "refuse", nil, nil); !errors.As(err, &refused) || refused.Status != http.StatusConflict || refused.Text != "not now" {
		t.Errorf("refuse: %v", err)
	}
	if err := c.Do(t.Context(), "GET", "broken", nil, nil); err == nil || err.Error() != "it broke" {
		t.Errorf("broken: %v", err)
	}
	if err := c.Do(t.Context(), "POST", "refuse", make([]byte, maxBody+1), nil); err == nil || !strings.Contains(err.Error(), "16 MiB") {
		t.Errorf("a body over the limit: %v", err)
	}
	if err := c.Ready(t.Context()); err == nil || err.Error() != "still waiting" {
		t.Errorf("not ready: %v", err)
	}
	ready = nil
	if err := c.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
}

func TestSocketInUseAndStale(t *testing.T) {
	o := options(t)
	start(t, o)
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server: %v", err)
	}
	stale := options(t)
	l, err := net.Listen("unix", stale.Socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, stale)
	if err := NewClient(stale.Socket).Ready(t.Context()); err != nil {
		t.Errorf("over a stale socket: %v", err)
	}
	long := options(t)
	long.Socket = "/" + strings.Repeat("x", 120)
	if _, err := New(long); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("a long path: %v", err)
	}
}

func TestNoNode(t *testing.T) {
	err := NewClient(filepath.Join(t.TempDir(), "x")).Do(t.Context(), "GET", "echo", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "is it running") {
		t.Errorf("%v", err)
	}
}

func TestTCPNeedsTheToken(t *testing.T) {
	o := options(t)
	cert, key, pool := certificate(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-of-some-length\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Config = Config{Listen: "127.0.0.1:0", Cert: cert, Key: key, TokenFile: token}
	s := start(t, o)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	for _, c := range []struct {
		path, auth string
		want       int
	}{
		{"/healthz", "", 200}, {"/readyz", "", 200},
		{"/metrics", "", 401}, {"/debug/pprof/", "", 401}, {"/admin/v1/echo", "", 401},
		{"/admin/v1/echo", "Bearer wrong", 401}, {"/admin/v1/echo", "a-token-of-some-length", 401},
		{"/admin/v1/echo", "Bearer a-token-of-some-length", 200}, {"/metrics", "Bearer a-token-of-some-length", 200},
		{"/admin/v1/none", "Bearer a-token-of-some-length", 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+s.Addr().String()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.auth != "" {
			req.Header.Set("Authorization", c.auth)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s with %q: %d, want %d", c.path, c.auth, resp.StatusCode, c.want)
		}
	}
}

// A stranger who announces a body and does not send it is cut off.
func TestTCPWaitsForNoStranger(t *testing.T) {
	o := options(t)
	cert, key, pool := certificate(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-of-some-length\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Config = Config{Listen: "127.0.0.1:0", Cert: cert, Key: key, TokenFile: token}
	s := start(t, o)
	for path, want := range map[string]string{"/admin/v1/refuse": "HTTP/1.1 401 ", "/healthz": "HTTP/1.1 405 "} {
		c, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: pool})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
		if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestTCPRefusesAWeakToken(t *testing.T) {
	o := options(t)
	cert, key, _ := certificate(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Config = Config{Listen: "127.0.0.1:0", Cert: cert, Key: key, TokenFile: token}
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "16 characters") {
		t.Errorf("%v", err)
	}
}

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return certFile, keyFile, pool
}
