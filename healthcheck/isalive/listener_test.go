package isalive

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const okay = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nX-Broker-Mode: normal\r\n" +
	"X-Broker-Active: 1\r\nX-Broker-Capacity: 64\r\nContent-Length: 10\r\nConnection: close\r\n\r\nCB_IS_OKAY"

// serve runs a net/http server behind Listener and gives a way to dial it.
func serve(t *testing.T, secure bool, answer func(net.Conn) Answer) func() net.Conn {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := inner.Addr().String()
	if secure {
		inner = tls.NewListener(inner, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	}
	srv := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			w.Header().Set("X-Server", "net/http")
			_, _ = io.WriteString(w, r.Method+" "+r.RequestURI+" "+string(body))
		}),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(Listener(inner, answer)) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Errorf("server: %v", err)
		}
	})
	return func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if secure {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cb"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func good(net.Conn) Answer { return Answer{Status: 200, Mode: "normal", Active: 1, Capacity: 64} }

// ask writes the parts, each in its own segment, and reads until the server closes.
func ask(t *testing.T, c net.Conn, parts ...string) string {
	t.Helper()
	for _, p := range parts {
		if _, err := io.WriteString(c, p); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v (read %q)", parts, err, b)
	}
	return string(b)
}

func TestListenerAnswersLegacyProbes(t *testing.T) {
	for _, secure := range []bool{false, true} {
		dial := serve(t, secure, good)
		for _, parts := range [][]string{
			{probe + "\r\n"},
			{probe + "\n"},
			{probe + "\r\n\r\n"},
			{probe + "\r\n", "\r\n"},
			{"GET /index.pl?action=cb_status\r\n"},
			{"GE", "T /inde", "x.pl?action=is_al", "ive\r", "\n"},
			{probe + " HTTP/1.0\r\n\r\n"},
			{probe + " HTTP/1.0\r\nUser-Agent: bigip\r\n\r\n"},
			{probe + " HTTP/1.1\r\n\r\n"},
			{probe + " HTTP/1.1\r\n", "User-Agent: netscaler\r\n", "\r\n"},
		} {
			if got := ask(t, dial(), parts...); got != okay {
				t.Errorf("tls %v, %q: got %q", secure, parts, got)
			}
		}
	}
}

func TestListenerAnswersAtHalfClose(t *testing.T) {
	for _, secure := range []bool{false, true} {
		c := serve(t, secure, good)()
		if _, err := io.WriteString(c, probe); err != nil {
			t.Fatal(err)
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, c); got != okay {
			t.Errorf("tls %v: got %q", secure, got)
		}
	}
}

// The client of a version-less probe may go on talking: what it sends after its line must not
// turn our close into a reset that loses the page.
func TestListenerPageSurvivesTrailingBytes(t *testing.T) {
	dial := serve(t, false, good)
	for range 20 {
		if got := ask(t, dial(), probe+"\r\nHost: cb\r\nAccept: */*\r\n\r\n", strings.Repeat("x", 8000)); got != okay {
			t.Fatalf("got %q", got)
		}
	}
}

func TestListenerStatus(t *testing.T) {
	busy := serve(t, false, func(net.Conn) Answer { return Answer{Status: 503, Active: -1, Capacity: -1} })
	if got := ask(t, busy(), probe+"\r\n"); !strings.HasPrefix(got, "HTTP/1.1 503 Service Unavailable\r\n") || !strings.HasSuffix(got, "\r\n\r\nCB_IS_BUSY") {
		t.Errorf("busy: got %q", got)
	}
	closed := serve(t, false, func(net.Conn) Answer { return Answer{} })
	if got := ask(t, closed(), probe+"\r\n"); got != "" {
		t.Errorf("status 0: got %q", got)
	}
}

func TestListenerPassesEverythingElse(t *testing.T) {
	for _, secure := range []bool{false, true} {
		dial := serve(t, secure, good)
		for _, parts := range [][]string{
			{"GET /index.pl?action=is_alive HTTP/1.1\r\nHost: cb\r\nConnection: close\r\n\r\n"},
			{"GET /index.pl?action=is_alive HTTP/1.1\r\nAccept: x\r\n", "Host: cb\r\nConnection: close\r\n", "\r\n"},
			{"G", "ET /index.pl?", "action=login HTTP/1.1\r\nHost: cb\r\nConnection: close\r\n\r\n"},
			{"POST /api HTTP/1.1\r\nHost: cb\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"},
			{"GET / HTTP/1.0\r\n\r\n"},
		} {
			got := ask(t, dial(), parts...)
			if !strings.Contains(got, "200 OK") || !strings.Contains(got, "X-Server: net/http") {
				t.Errorf("tls %v, %q: got %q", secure, parts, got)
			}
		}
		// Refused by the server, not by us.
		for _, req := range []string{
			"GET /other\r\n\r\n",
			"GET /other HTTP/1.1\r\n\r\n",
			probe + " HTTP/1.1\r\nHost : cb\r\n\r\n",
			probe + " HTTP/9.9\r\n\r\n",
		} {
			if got := ask(t, dial(), req); strings.Contains(got, "CB_IS_OKAY") || got != "" && !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "HTTP/1.1 505") {
				t.Errorf("tls %v, %q: got %q", secure, req, got)
			}
		}
	}
}

// A kept connection works as before, and its later requests are never looked at.
func TestListenerKeepsConnections(t *testing.T) {
	c := serve(t, false, good)()
	br := bufio.NewReader(c)
	big := strings.Repeat("z", 100<<10)
	for i := range 3 {
		req, err := http.NewRequest("POST", "http://cb/index.pl?action=login", strings.NewReader(big))
		if err != nil {
			t.Fatal(err)
		}
		if err := req.Write(c); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(br, req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != "POST /index.pl?action=login "+big {
			t.Fatalf("request %d: %d bytes, %v", i, len(body), err)
		}
	}
}

// A client that says nothing blocks neither Accept nor others.
func TestListenerSilentClient(t *testing.T) {
	dial := serve(t, false, good)
	silent := dial()
	if _, err := io.WriteString(silent, "GET /inde"); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, dial(), probe+"\r\n"); got != okay {
		t.Errorf("got %q", got)
	}
}

func TestListenerShowsTheInnerConnection(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listener(tls.NewListener(inner, &tls.Config{Certificates: []tls.Certificate{certificate(t)}}), good)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := c.(interface{ NetConn() net.Conn }).NetConn().(*tls.Conn); !ok {
		t.Error("NetConn does not give the *tls.Conn")
	}
	if _, ok := c.(interface{ ConnectionState() tls.ConnectionState }); !ok {
		t.Error("a TLS connection has no ConnectionState")
	}
}
