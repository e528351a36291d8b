package httpbench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// page is a server whose answers have the size that the clients expect, until fail is set.
type page struct {
	addr  string
	count atomic.Int64
	delay atomic.Int64 // ns, of each answer
	fail  atomic.Bool
}

func servePage(t *testing.T, size int, certs ...tls.Certificate) *page {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &page{addr: l.Addr().String()}
	if len(certs) > 0 {
		l = tls.NewListener(l, &tls.Config{Certificates: certs, MinVersion: tls.VersionTLS12})
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if p.count.Add(1); p.fail.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		time.Sleep(time.Duration(p.delay.Load())) // what is measured
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	})}
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return p
}

func TestHandshakes(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := issue(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	p := servePage(t, 1024, cert)
	got, err := handshakes(t.Context(), task{Target: p.addr, Path: smallFile, Size: 1024, Conns: 2, For: 100 * time.Millisecond, CA: certFile})
	if err != nil || got.N == 0 || got.N != p.count.Load() {
		t.Errorf("%+v, %v, served %d", got, err, p.count.Load())
	}
	if _, err := handshakes(t.Context(), task{Target: p.addr, Path: smallFile, Size: 10, Conns: 1, For: time.Second, CA: certFile}); err == nil {
		t.Error("an answer of another size is taken")
	}
}

// perform plays a role until its input is closed, and gives what it prints line by line.
func perform(t *testing.T, task task) (lines *bufio.Reader, input io.Closer, wait func() error) {
	t.Helper()
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	stdin, hold := io.Pipe()
	out, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Perform(context.WithoutCancel(t.Context()), string(text), stdin, stdout)
		_ = stdout.CloseWithError(io.EOF)
		done <- err
	}()
	return bufio.NewReader(out), hold, func() error { return <-done }
}

func TestCrowds(t *testing.T) {
	for _, role := range []string{roleIdle, roleSlow} {
		t.Run(role, func(t *testing.T) {
			p := servePage(t, 1024)
			lines, input, wait := perform(t, task{Role: role, Target: p.addr, Path: smallFile, Size: 1024, Conns: 30})
			for range 2 { // once when they are open, once at the end
				line, err := lines.ReadString('\n')
				if err != nil || line != "{\"open\":30}\n" {
					t.Fatalf("%q, %v", line, err)
				}
				_ = input.Close()
			}
			if err := wait(); err != nil {
				t.Error(err)
			}
			want := int64(30)
			if role == roleSlow {
				want = 0 // no request was complete
			}
			if n := p.count.Load(); n != want {
				t.Errorf("%d requests were served, want %d", n, want)
			}
		})
	}
}

func TestStillOpenSeesClosedConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var conns []net.Conn
	for i := range 3 {
		c, err := dialFrom(t.Context(), i*perSource, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		other, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			other.Close()
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Fatal(err)
			}
		} else {
			defer other.Close()
		}
		if from, want := c.LocalAddr().(*net.TCPAddr).IP.String(), []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"}[i]; from != want {
			t.Errorf("connection %d comes from %s, want %s", i*perSource, from, want)
		}
		conns = append(conns, c)
	}
	if n := stillOpen(conns); n != 2 {
		t.Errorf("%d open, want 2", n)
	}
}

func TestStream(t *testing.T) {
	free, err := ports(1)
	if err != nil {
		t.Fatal(err)
	}
	lines, input, wait := perform(t, task{Role: roleSource, Target: free[0]})
	if line, err := lines.ReadString('\n'); err != nil || line != "{}\n" {
		t.Fatalf("%q, %v", line, err)
	}
	got, err := sink(t.Context(), task{Target: free[0], For: 100 * time.Millisecond})
	if err != nil || got.N < streamBuffer || got.Took < 100*time.Millisecond {
		t.Errorf("%+v, %v", got, err)
	}
	_ = input.Close()
	if err := wait(); err != nil {
		t.Error(err)
	}
}

func TestPerformRefusesUnknownRoles(t *testing.T) {
	for _, text := range []string{`{"role":"nobody"}`, `{`} {
		if err := Perform(t.Context(), text, strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
