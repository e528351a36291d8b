package lb

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func itoa(n int) string { return strconv.Itoa(n) }

// mirror is a backend that keeps the head of each request as it came.
type mirror struct {
	mu    sync.Mutex
	heads []string
}

func (m *mirror) last() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.heads) == 0 {
		return ""
	}
	return m.heads[len(m.heads)-1]
}

func startMirror(t *testing.T, answer string) (*mirror, string) {
	m := &mirror{}
	addr := rawBackend(t, func(_ int, head string) string {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.heads = append(m.heads, head)
		return answer
	})
	return m, addr
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

func TestRequestHeads(t *testing.T) {
	m, addr := startMirror(t, okAnswer)
	plain := start(t, plainConfig([]Member{{Address: addr}}))
	cfg := plainConfig([]Member{{Address: addr}})
	cfg.Listeners[0].TrustedProxies = []string{"127.0.0.1"}
	trusting := start(t, cfg)
	tests := []struct {
		name    string
		trusted bool
		in      string
		want    string // the whole head that the member gets
	}{
		{"target unchanged, order and case of names kept", false,
			"GET //a/../b%2F?q=%zz&x HTTP/1.1\r\nHost: cb.company.com\r\nx-lOwEr: 1\r\nAccept: a\r\nAccept: b\r\nCookie: a=1\r\nCookie: b=2\r\nConnection: close\r\n\r\n",
			"GET //a/../b%2F?q=%zz&x HTTP/1.1\r\nHost: cb.company.com\r\nx-lOwEr: 1\r\nAccept: a\r\nAccept: b\r\nCookie: a=1\r\nCookie: b=2\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: cb.company.com\r\n\r\n"},
		{"hop-by-hop fields go, those that Connection names too", false,
			"GET / HTTP/1.1\r\nHost: x\r\nConnection: X-Secret , close,keep-alive\r\nKeep-Alive: 5\r\nX-Secret: 1\r\nTE: trailers\r\nUpgrade: websocket\r\nProxy-Authorization: p\r\nProxy-Connection: close\r\nTrailer: x\r\nX-Kept: 1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nX-Kept: 1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n"},
		{"a stranger's word on who it is goes", false,
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nX-FORWARDED-PROTO: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-User: root\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n"},
		{"a trusted proxy's is kept and extended", true,
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8, 127.0.0.1\r\n\r\n"},
		{"HTTP/1.0 without Host", false, "GET / HTTP/1.0\r\nA: b\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: " + addr + "\r\nA: b\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\r\n"},
		{"HTTP/1.0 without any header", false, "GET / HTTP/1.0\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: " + addr + "\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\r\n"},
		{"absolute form", false, "GET http://other:81?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"GET /?q HTTP/1.1\r\nHost: other:81\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: other:81\r\n\r\n"},
		{"asterisk form", false, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"OPTIONS * HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n"},
		{"chunks stay chunks, without extensions, with their trailers", false,
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nConnection: close\r\n\r\n3;ext=1\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nTrailer: X-T\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"POST without a body says so", false, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\nContent-Length: 0\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := plain
			if tt.trusted {
				r = trusting
			}
			if out := raw(t, r.addr, tt.in); !strings.HasPrefix(out, "HTTP/1.1 200 ") {
				t.Fatalf("got %q", out)
			}
			if got := m.last(); got != tt.want {
				t.Errorf("member got\n%q, want\n%q", got, tt.want)
			}
		})
	}
}

// TestRefused: what has two meanings never reaches a member. The connection is closed after.
func TestRefused(t *testing.T) {
	m, addr := startMirror(t, okAnswer)
	r := start(t, plainConfig([]Member{{Address: addr}}))
	const end = "\r\n\r\n"
	tests := []struct {
		name, in string
		status   int
	}{
		{"garbage", "\x00\x01\x02\x03\r\n\r\n", 400},
		{"no Host", "GET / HTTP/1.1" + end, 400},
		{"empty Host line of 1.1", "GET / HTTP/1.1\r\nHost:" + end, 400},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b" + end, 400},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b" + end, 400},
		{"Host with user", "GET / HTTP/1.1\r\nHost: u@b" + end, 400},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1" + end + "x", 400},
		{"length and chunks", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked" + end + "0" + end, 400},
		{"chunks twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked" + end + "0" + end, 400},
		{"unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked" + end + "0" + end, 400},
		{"identity coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity" + end, 400},
		{"chunks in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked" + end + "0" + end, 400},
		{"signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1" + end + "x", 400},
		{"bad chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked" + end + "zz\r\nabc\r\n0" + end, 400},
		{"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2" + end, 400},
		{"bare LF in a header", "GET / HTTP/1.1\r\nHost: a\nX: 1" + end, 400},
		{"bare CR in a header", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2" + end, 400},
		{"space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : 1" + end, 400},
		{"space inside a name", "GET / HTTP/1.1\r\nHost: a\r\nX Y: 1" + end, 400},
		{"no name", "GET / HTTP/1.1\r\nHost: a\r\n: 1" + end, 400},
		{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nXY" + end, 400},
		{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\x002" + end, 400},
		{"space in the target", "GET /a b HTTP/1.1\r\nHost: a" + end, 400},
		{"fragment in the target", "GET /a#b HTTP/1.1\r\nHost: a" + end, 400},
		{"relative target", "GET a HTTP/1.1\r\nHost: a" + end, 400},
		{"other scheme", "GET ftp://a/b HTTP/1.1\r\nHost: a" + end, 400},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a" + end, 405},
		{"HTTP/2 preface", "PRI * HTTP/2.0" + end + "SM" + end, 505},
		{"HTTP/0.9 for another page", "GET /other\r\n\r\n", 400},
		{"1 MB header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1<<20) + end, 431},
		{"1 MB of headers", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 170_000) + end, 431},
		{"1 MB target", "GET /" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: a" + end, 431},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := m.last()
			out := raw(t, r.addr, tt.in+"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
			if !strings.HasPrefix(out, "HTTP/1.1 "+itoa(tt.status)+" ") || strings.Count(out, "HTTP/1.1 ") != 1 {
				t.Errorf("got %.300q", out)
			}
			if got := m.last(); got != before {
				t.Errorf("the member got %q", got)
			}
		})
	}
}

func TestAnswerHeads(t *testing.T) {
	_, addr := startMirror(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+
		"HTTP/1.0 207 Many Things\r\nETag: \"x\"\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nconnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: 9\r\nProxy-Authenticate: Basic\r\nupgrade: h2c\r\nServer: inner\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok")
	r := start(t, plainConfig([]Member{{Address: addr}}))
	out := raw(t, r.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	const interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
	out, passed := strings.CutPrefix(out, interim)
	if !passed || !strings.HasPrefix(out, "HTTP/1.1 207 Many Things\r\n") || !strings.HasSuffix(out, "\r\n\r\nok") {
		t.Errorf("got %q", out)
	}
	for _, want := range []string{"\r\nETag: \"x\"\r\n", ": a=1\r\n", "Set-Cookie: b=2\r\n", "Server: inner\r\n", "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n", "Content-Length: 2\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %q", want, out)
		}
	}
	for _, bad := range []string{"X-Hop", "Keep-Alive", "Proxy-", "pgrade", "Link", "HTTP/1.0", "Content-Type"} {
		if strings.Contains(out, bad) {
			t.Errorf("%q is left in %q", bad, out)
		}
	}
}

func TestBodies(t *testing.T) {
	large := make([]byte, 3<<20)
	if _, err := rand.Read(large); err != nil {
		t.Fatal(err)
	}
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/echo":
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Length", itoa(len(body)))
			_, _ = w.Write(body)
		case "/chunked":
			w.Header().Set("Trailer", "X-Sum")
			_, _ = w.Write(large)
			w.Header().Set("X-Sum", "1")
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/etag":
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		case "/head":
			w.Header().Set("Content-Length", "12345")
		}
	}))
	r := start(t, plainConfig(members(a)))
	c := client(t, nil)
	t.Run("large body both ways", func(t *testing.T) {
		resp, err := c.Post("http://"+r.addr+"/echo", "application/octet-stream", bytes.NewReader(large))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, large) || resp.ContentLength != int64(len(large)) {
			t.Errorf("%d bytes of %d, %v", len(got), len(large), err)
		}
	})
	t.Run("chunked", func(t *testing.T) {
		if _, got := get(t, c, "http://"+r.addr+"/chunked"); got != string(large) {
			t.Errorf("%d bytes of %d", len(got), len(large))
		}
	})
	t.Run("chunked to an HTTP/1.0 client", func(t *testing.T) {
		out := raw(t, r.addr, "GET /chunked HTTP/1.0\r\nHost: x\r\n\r\n")
		head, body, _ := strings.Cut(out, "\r\n\r\n")
		if body != string(large) || strings.Contains(head, "chunked") {
			t.Errorf("%q and %d bytes", head, len(body))
		}
	})
	t.Run("expect 100 with the body right behind", func(t *testing.T) {
		out := raw(t, r.addr, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
		if !strings.HasPrefix(out, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(out, "hi") {
			t.Errorf("got %q", out)
		}
	})
	for path, status := range map[string]int{"/empty": 204, "/etag": 304} {
		if got, body := get(t, c, "http://"+r.addr+path); got != status || body != "" {
			t.Errorf("%s: %d %q", path, got, body)
		}
	}
	t.Run("HEAD", func(t *testing.T) {
		resp, err := c.Head("http://" + r.addr + "/head")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.ContentLength != 12345 {
			t.Errorf("length %d", resp.ContentLength)
		}
	})
	t.Run("connections are reused and nothing stays in flight", func(t *testing.T) {
		eventually(t, "in flight 0", func() bool { return r.Explain("front", loopback).Members[0].InFlight == 0 })
		u := r.live.Load().pools[0].ups[0]
		u.mu.Lock()
		defer u.mu.Unlock()
		if n := len(u.idle); n != 1 {
			t.Errorf("%d idle connections", n)
		}
	})
}

// TestBrokenStream: an answer that breaks off after its head went out must not look complete.
func TestBrokenStream(t *testing.T) {
	for name, answer := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 100_000),
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"garbage": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := startMirror(t, answer)
			r := start(t, plainConfig([]Member{{Address: addr}}))
			resp, err := client(t, nil).Get("http://" + r.addr + "/")
			if err != nil {
				return // cut off before the head was complete: as good
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode != 502 {
				t.Errorf("%d bytes and no error", len(body))
			}
			eventually(t, "in flight 0", func() bool { return r.Explain("front", loopback).Members[0].InFlight == 0 })
		})
	}
}

// TestEarlyAnswer: a member refuses a large upload and closes without reading it.
func TestEarlyAnswer(t *testing.T) {
	_, addr := startMirror(t, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
	r := start(t, plainConfig([]Member{{Address: addr}}))
	resp, err := client(t, nil).Post("http://"+r.addr+"/", "text/plain", bytes.NewReader(make([]byte, 3<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// The reset that follows may overtake the answer: then there is nothing left to pass on.
	if resp.StatusCode != 413 && resp.StatusCode != 502 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestLateEarlyAnswer: the member reads a while, then refuses and closes. The upload had been
// going on for longer than an early answer is waited for.
func TestLateEarlyAnswer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		readHead(bufio.NewReader(c))
		<-time.After(2 * earlyWait)
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
	}()
	defer func() { _ = ln.Close(); <-done }()
	r := start(t, plainConfig([]Member{{Address: ln.Addr().String()}}))
	resp, err := client(t, nil).Post("http://"+r.addr+"/", "text/plain", bytes.NewReader(make([]byte, 4<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != 413 || string(body) != "big" {
		t.Errorf("status %d, %q, %v", resp.StatusCode, body, err)
	}
}

func TestKeepAliveAndPipeline(t *testing.T) {
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { _, _ = io.WriteString(w, req.URL.Path) }))
	r := start(t, plainConfig(members(a)))
	out := raw(t, r.addr, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n")
	for _, want := range []string{"\r\n\r\n/1", "\r\n\r\n/2", "\r\n\r\n/3"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %q", want, out)
		}
	}
	if strings.Count(out, "Connection: close") != 1 {
		t.Errorf("got %q", out)
	}
}

// TestSlowClients: a client that does not get on is cut off.
func TestSlowClients(t *testing.T) {
	covers.Req(t, "LB6")
	a := startBackend(t, says("a"))
	r := start(t, plainConfig(members(a)), func(o *Options) { o.ReadTimeout, o.IdleTimeout = 200*ms, 200*ms })
	for name, tt := range map[string]struct{ send, want string }{
		"nothing":     {"", "HTTP/1.1 408 "},
		"half a head": {"GET / HTTP/1.1\r\nHost: x\r\nX-Sl", "HTTP/1.1 408 "},
		"half a body": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", "HTTP/1.1 408 "},
		"idle":        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 "},
		"half probe":  {"GET /index.pl?action=is_al", "HTTP/1.1 408 "},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			if out := raw(t, r.addr, tt.send); !strings.HasPrefix(out, tt.want) {
				t.Errorf("got %q", out)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("cut off only after %v", took)
			}
		})
	}
	eventually(t, "no connection is left", func() bool { return r.listeners[0].conns.len() == 0 })
}

// TestClientGoesAway: a client that leaves in the middle leaks nothing.
func TestClientGoesAway(t *testing.T) {
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 8<<20))
	}))
	r := start(t, plainConfig(members(a)))
	for range 5 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_, _ = io.ReadFull(c, make([]byte, 1000))
		c.Close()
	}
	eventually(t, "in flight 0", func() bool { return r.Explain("front", loopback).Members[0].InFlight == 0 })
	eventually(t, "no connection is left", func() bool { return r.listeners[0].conns.len() == 0 })
}
