package lb

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestTLSListener(t *testing.T) {
	ca := newAuthority(t)
	cert1, key1 := ca.issue(t, "first", 11, "127.0.0.1")
	cert2, key2 := ca.issue(t, "second", 12, "127.0.0.1")
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(w, req.Header.Get("X-Forwarded-Proto"))
	}))
	cfg := plainConfig(members(a))
	cfg.Listeners[0].Cert, cfg.Listeners[0].Key = cert1, key1
	r := start(t, cfg)
	serial := func() int64 {
		t.Helper()
		resp, err := client(t, &tls.Config{RootCAs: ca.pool()}).Get("https://" + r.addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); string(body) != "https" {
			t.Errorf("the member saw %q", body)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 11 {
		t.Errorf("certificate %d", n)
	}
	next := cfg
	next.Listeners = []Listener{cfg.Listeners[0]}
	next.Listeners[0].Cert, next.Listeners[0].Key = cert2, key2
	r.reload(next)
	if n := serial(); n != 12 {
		t.Errorf("certificate %d after the reload", n)
	}
	if _, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: ca.pool(), MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: ca.pool(), NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("protocol %q", got)
	}
	c.Close()
	// Plain HTTP to it gets no answer and does no harm.
	p, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, _ = io.WriteString(p, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if out, _ := io.ReadAll(p); strings.Contains(string(out), "200") {
		t.Errorf("plain HTTP got %q", out)
	}
	plain := cfg
	plain.Listeners = []Listener{{Name: "front", Listen: "127.0.0.1:0", Pool: "brokers"}}
	table, err := Compile(plain, noRef)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetTable(table); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("TLS turned off by a reload: %v", err)
	}
}

func TestTLSUpstream(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	cert, key := ca.issue(t, "broker", 21, "127.0.0.1", "broker.company.com")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var got string
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		got = req.TLS.ServerName
		n, _ := io.Copy(io.Discard, req.Body)
		_, _ = fmt.Fprint(w, "secret page ", n)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	pool := func(set func(*Pool)) Config {
		cfg := plainConfig([]Member{{Address: ln.Addr().String()}})
		cfg.Pools[0].TLS = true
		set(&cfg.Pools[0])
		return cfg
	}
	tests := []struct {
		name   string
		set    func(*Pool)
		status int
	}{
		{"trusted", func(p *Pool) { p.CA = ca.file }, 200},
		{"trusted by another name", func(p *Pool) { p.CA, p.ServerName = ca.file, "broker.company.com" }, 200},
		{"wrong name", func(p *Pool) { p.CA, p.ServerName = ca.file, "evil.company.com" }, 503},
		{"other CA", func(p *Pool) { p.CA = other.file }, 503},
		{"system's roots", func(*Pool) {}, 503},
		{"not verified", func(p *Pool) { p.NoVerify = true }, 200},
	}
	r := start(t, pool(tests[0].set))
	for _, tt := range tests { // each by a reload: a changed CA must not live on in open connections
		t.Run(tt.name, func(t *testing.T) {
			cfg := pool(tt.set)
			cfg.Listeners = []Listener{{Name: "front", Listen: "127.0.0.1:0", Pool: "brokers"}}
			r.reload(cfg)
			for range 2 {
				resp, err := client(t, nil).Post("http://"+r.addr+"/", "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != tt.status || tt.status == 200 && string(body) != "secret page 100000" {
					t.Errorf("got %d %q", resp.StatusCode, body)
				}
			}
		})
	}
	if got != "" { // no_verify came last, by address: RFC 6066 forbids addresses in SNI
		t.Errorf("server name %q", got)
	}
}
