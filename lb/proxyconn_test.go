package lb

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// tellsClient answers with X-Forwarded-For and the member's own peer.
func tellsClient(t *testing.T) *backend {
	return startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(w, req.Header.Get("X-Forwarded-For"))
	}))
}

// TestProxyIn: a header names the client; LOCAL and UNKNOWN are the proxy's own; whoever sends
// none, a wrong one or is a stranger is closed without a word.
func TestProxyIn(t *testing.T) {
	covers.Req(t, "LB1")
	a := tellsClient(t)
	cfg := plainConfig(members(a))
	cfg.Listeners[0].TrustedProxies, cfg.Listeners[0].ProxyProtocol = []string{"127.0.0.1"}, "any"
	r := start(t, cfg)
	const request = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct{ header, want string }{
		{"PROXY TCP4 192.0.2.1 10.0.0.1 1234 443\r\n", "192.0.2.1"},
		{v2(0x21, 0x21, v2Body6+"\x04\x00\x00"), "2001:db8::1"},
		{"PROXY UNKNOWN\r\n", "203.0.113.9, 127.0.0.1"},
		{v2(0x20, 0, ""), "203.0.113.9, 127.0.0.1"},
	} {
		if out := raw(t, r.addr, tt.header+request); !strings.HasSuffix(out, "\r\n\r\n"+tt.want) {
			t.Errorf("%q: %q", tt.header, out)
		}
		// In pieces, and with a probe behind it that the server would refuse.
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(tt.header) {
			_, _ = io.WriteString(c, tt.header[i:i+1])
		}
		if out := rawOn(t, c, "GET /index.pl?action=is_alive\r\n\r\n"); !strings.Contains(out, "CB_IS_OKAY") {
			t.Errorf("%q: the probe got %q", tt.header, out)
		}
		c.Close()
	}
	for _, bad := range []string{request, "PROXY TCP4 1.2.3.4\r\n" + request, "\x16\x03\x01"} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, bad)
		if out, _ := io.ReadAll(c); len(out) > 0 {
			t.Errorf("%q got %q", bad, out)
		}
		c.Close()
	}
	if n := testutil.ToFloat64(r.metrics.proxyErrors.WithLabelValues("front")); n != 3 {
		t.Errorf("%v connections are counted as closed", n)
	}
	strangers := cfg
	strangers.Listeners = []Listener{cfg.Listeners[0]}
	strangers.Listeners[0].TrustedProxies = []string{"192.0.2.0/24"}
	r.reload(strangers)
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "PROXY TCP4 192.0.2.1 10.0.0.1 1234 443\r\n"+request)
	if out, _ := io.ReadAll(c); len(out) > 0 {
		t.Errorf("a stranger got %q", out)
	}
}

// TestProxyInTLS: the header comes before the handshake, in one packet with it.
func TestProxyInTLS(t *testing.T) {
	ca := newAuthority(t)
	cfg := plainConfig(members(tellsClient(t)))
	cfg.Listeners[0].Cert, cfg.Listeners[0].Key = ca.issue(t, "lb", 5, "127.0.0.1")
	cfg.Listeners[0].TrustedProxies, cfg.Listeners[0].ProxyProtocol = []string{"127.0.0.1"}, "v2"
	r := start(t, cfg)
	inner, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	c := tls.Client(&prefixed{inner, []byte(v2(0x21, 0x11, v2Body4))}, &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1"})
	if out := rawOn(t, c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(out, "\r\n\r\n192.0.2.1") {
		t.Errorf("got %q", out)
	}
}

// prefixed sends something with the first bytes.
type prefixed struct {
	net.Conn
	first []byte
}

func (c *prefixed) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(append(c.first, p...))
	n -= len(c.first)
	c.first = nil
	return n, err
}

// TestProxyHAProxy: HAProxy in front sends both versions, its own health checks included, and
// HAProxy behind accepts both.
func TestProxyHAProxy(t *testing.T) {
	covers.Req(t, "LB1")
	for _, version := range []string{"v1", "v2"} {
		t.Run("from HAProxy "+version, func(t *testing.T) {
			cfg := plainConfig(members(tellsClient(t)))
			cfg.Listeners[0].TrustedProxies, cfg.Listeners[0].ProxyProtocol = []string{"127.0.0.1"}, version
			r := start(t, cfg)
			send := map[string]string{"v1": "send-proxy", "v2": "send-proxy-v2"}[version]
			front := realserver.HAProxy(t, realserver.HAProxyOptions{Backends: []realserver.HAProxyBackend{{Addr: r.addr, Server: send}}})
			eventually(t, "HAProxy takes the balancer for alive", func() bool {
				status, _, _ := front.BackendState(0)
				return status == "UP"
			})
			if out := from(t, "127.0.7.7", front.Addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(out, "\r\n\r\n127.0.7.7") {
				t.Errorf("got %q", out)
			}
			if n := testutil.ToFloat64(r.metrics.proxyErrors.WithLabelValues("front")); n != 0 {
				t.Errorf("%v connections were closed", n)
			}
		})
		t.Run("to HAProxy "+version, func(t *testing.T) {
			behind := realserver.HAProxy(t, realserver.HAProxyOptions{
				Bind:     "accept-proxy",
				Frontend: `http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst_port]"`,
			})
			for _, secure := range []bool{false, true} {
				cfg := plainConfig([]Member{{Address: behind.Addr}})
				if secure {
					cfg = plainConfig([]Member{{Address: behind.TLSAddr}})
					cfg.Pools[0].TLS, cfg.Pools[0].CA = true, behind.CAFile
				}
				cfg.Pools[0].SendProxy = version
				r := start(t, cfg)
				_, port, _ := net.SplitHostPort(r.addr)
				for i := range 2 {
					local := fmt.Sprintf("127.0.7.%d", 10+i)
					c := dialFrom(t, local, r.addr)
					br := bufio.NewReader(c)
					for range 3 { // over the one connection of this client
						_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
						resp, err := http.ReadResponse(br, nil)
						if err != nil {
							t.Fatal(err)
						}
						body, _ := io.ReadAll(resp.Body)
						want := fmt.Sprintf("%s %d %s", local, c.LocalAddr().(*net.TCPAddr).Port, port)
						if string(body) != want {
							t.Errorf("the member sees %q, want %q", body, want)
						}
					}
					c.Close()
				}
			}
		})
	}
}

// TestSendProxyOwns: a client's requests share one connection to the member, other clients get
// their own, and it ends with the client.
func TestSendProxyOwns(t *testing.T) {
	peers := make(chan string, 16)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				line, _ := br.ReadString('\n')
				peers <- line
				for strings.HasPrefix(readHead(br), "GET ") {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
				peers <- "end"
			}()
		}
	}()
	defer func() { _ = ln.Close(); <-done }()
	cfg := plainConfig([]Member{{Address: ln.Addr().String()}})
	cfg.Pools[0].SendProxy = "v1"
	r := start(t, cfg)
	one, two := dialFrom(t, "127.0.7.1", r.addr), dialFrom(t, "127.0.7.2", r.addr)
	for range 3 {
		for _, c := range []net.Conn{one, two} {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if out := readHead(bufio.NewReader(c)); !strings.HasPrefix(out, "HTTP/1.1 200 ") {
				t.Fatalf("got %q", out)
			}
		}
	}
	if a, b := <-peers, <-peers; !strings.Contains(a, "127.0.7.1 ") || !strings.Contains(b, "127.0.7.2 ") || len(peers) > 0 {
		t.Errorf("connections %q and %q, and %d more", a, b, len(peers))
	}
	if n := len(r.live.Load().pools[0].ups[0].idle); n != 0 {
		t.Errorf("%d connections are for everybody", n)
	}
	one.Close()
	two.Close()
	for range 2 {
		select {
		case got := <-peers:
			if got != "end" {
				t.Errorf("got %q", got)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a connection to the member outlives its client")
		}
	}
}

func dialFrom(t *testing.T, local, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// from sends bytes from a local address and reads all that comes.
func from(t *testing.T, local, addr, request string) string {
	t.Helper()
	return rawOn(t, dialFrom(t, local, addr), request)
}

// TestBegunConn: what was read already comes first, all of it.
func TestBegunConn(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	go func() { _, _ = io.WriteString(b, "second"); _ = b.Close() }()
	c := &begunConn{Conn: a, rest: []byte("first ")}
	var got bytes.Buffer
	if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{c}, make([]byte, 4)); err != nil || got.String() != "first second" {
		t.Errorf("%q %v", got.String(), err)
	}
	if c.CloseWrite() == nil {
		t.Error("a pipe has no half to close")
	}
}

// TestProxyOutSlowUpload: what introduces a client has a time limit, which is none for what the
// client sends after it.
func TestProxyOutSlowUpload(t *testing.T) {
	const size = 300_000
	a := startService(t, func(c *net.TCPConn) {
		br := bufio.NewReader(c)
		if intro, err := br.ReadString('\n'); err != nil || !strings.HasPrefix(intro, "PROXY TCP4 ") {
			t.Errorf("introduced by %q, %v", intro, err)
		}
		readHead(br)
		n, err := io.CopyN(io.Discard, br, size)
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Err: %v\r\nConnection: close\r\n\r\n%6d", err, n)
	})
	cfg := plainConfig(services(a))
	cfg.Pools[0].SendProxy, cfg.Pools[0].ConnectTimeout = "v1", 100*ms
	r := start(t, cfg)
	c := dial(t, r.addr)
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", size); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is at the member", func() bool { return r.member("a").InFlight == 1 })
	began := time.Now()
	eventually(t, "longer than a connection may take", func() bool { return time.Since(began) > 300*ms })
	if _, err := io.WriteString(c, strings.Repeat("x", size)); err != nil {
		t.Fatal(err)
	}
	if out, _ := io.ReadAll(c); !strings.HasPrefix(string(out), "HTTP/1.1 200 ") {
		t.Errorf("got %q", out)
	}
}
