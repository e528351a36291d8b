package lb

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// settled waits until nothing of any request is left.
func settled(t *testing.T, r *running) {
	t.Helper()
	eventually(t, "nothing is left", func() bool {
		for _, u := range r.live.Load().pools[0].ups {
			if u.InFlight() != 0 {
				return false
			}
		}
		return r.listeners[0].conns.len() == 0
	})
}

// TestMemberFaults: whatever a member does, the client gets a whole answer or one that it can tell
// to be broken, and nothing is left behind.
func TestMemberFaults(t *testing.T) {
	const large = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
	resetting := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
	for _, tt := range []struct {
		name  string
		serve func(c net.Conn)
		want  string // beginning of the answer; "broken" is one that ends too soon
	}{
		{"dies in a short body", func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc") }, "HTTP/1.1 502 "},
		{"dies in a long body", func(c net.Conn) { _, _ = io.WriteString(c, large+"abc") }, "broken"},
		{"dies in chunks", func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		}, "broken"},
		{"resets before the answer", resetting, "HTTP/1.1 502 "},
		{"resets in a head", func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200"); resetting(c) }, "HTTP/1.1 502 "},
		{"stalls before the answer", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, "HTTP/1.1 504 "},
		{"garbage", func(c net.Conn) { _, _ = io.WriteString(c, "\x00\xff\r\n\r\n") }, "HTTP/1.1 502 "},
		{"garbage without end", func(c net.Conn) { _, _ = io.Copy(c, zeros(1<<20)) }, "HTTP/1.1 502 "},
		{"interim, then dies", func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 103 Hints\r\n\r\n") }, "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 502 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := serveRaw(t, func(c net.Conn) {
				readHead(bufio.NewReader(c))
				tt.serve(c)
			})
			cfg := plainConfig([]Member{{Address: addr}})
			cfg.Pools[0].ResponseTimeout = 200 * ms
			r := start(t, cfg)
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			out, err := io.ReadAll(c)
			if tt.want != "broken" {
				if err != nil || !strings.HasPrefix(string(out), tt.want) {
					t.Errorf("got %.200q, %v", out, err)
				}
			} else if resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(out))), nil); err == nil {
				if body, err := io.ReadAll(resp.Body); err == nil {
					t.Errorf("%d bytes and no error", len(body))
				}
			}
			_ = c.Close()
			settled(t, r)
		})
	}
}

// TestClientFaults: clients that die at every stage, beside others that must not notice.
func TestClientFaults(t *testing.T) {
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		switch req.URL.Path {
		case "/slow":
			select {
			case <-req.Context().Done():
			case <-time.After(time.Second):
			}
		case "/large":
			_, _ = io.Copy(w, zeros(4<<20))
		}
		_, _ = io.WriteString(w, "ok")
	}))
	r := start(t, plainConfig(members(a)))
	stop := make(chan struct{})
	var healthy sync.WaitGroup
	var served atomic.Int64
	for range 4 {
		healthy.Go(func() {
			cl := client(t, nil)
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := cl.Post("http://"+r.addr+"/", "text/plain", strings.NewReader("hello"))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || string(body) != "ok" {
					t.Errorf("a healthy client got %d %q, %v", resp.StatusCode, body, err)
				}
				served.Add(1)
			}
		})
	}
	stages := []struct {
		name, send string
		read       int
	}{
		{"connected", "", 0},
		{"half a head", "GET / HTTP/1.1\r\nHo", 0},
		{"half a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", 0},
		{"a large body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + strings.Repeat("x", 100_000), 0},
		{"half a chunk", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc", 0},
		{"waiting", "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", 0},
		{"during the answer", "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", 1000},
		{"between two", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", 20},
	}
	for _, reset := range []bool{false, true} {
		for range 5 {
			for _, s := range stages {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(c, s.send)
				if s.read > 0 {
					if _, err := io.ReadFull(c, make([]byte, s.read)); err != nil {
						t.Errorf("%s: %v", s.name, err)
					}
				}
				if reset {
					_ = c.(*net.TCPConn).SetLinger(0)
				}
				_ = c.Close()
			}
		}
	}
	close(stop)
	healthy.Wait()
	if served.Load() == 0 {
		t.Error("no healthy request was made")
	}
	if p := r.Explain("front", loopback).Members[0].Failing; p != 0 {
		t.Errorf("the member is blamed: %v", p)
	}
	eventually(t, "in flight 0", func() bool { return r.live.Load().pools[0].ups[0].InFlight() == 0 })
}

// TestSlowBody: a client that sends, but too slowly for long, is cut off; one that is slow and
// keeps up the least rate is served, however long that takes.
func TestSlowBody(t *testing.T) {
	covers.Req(t, "LB6")
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n, _ := io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(w, itoa(int(n)))
	}))
	r := start(t, plainConfig(members(a)), func(o *Options) { o.ReadTimeout = 300 * ms })
	send := func(pieces, size int, every time.Duration) string {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "+itoa(pieces*size)+"\r\n\r\n")
		tick := time.NewTicker(every)
		defer tick.Stop()
		for range pieces {
			<-tick.C
			if _, err := c.Write(make([]byte, size)); err != nil {
				break
			}
		}
		out, _ := io.ReadAll(c)
		return string(out)
	}
	if out := send(20, 1, 50*ms); !strings.HasPrefix(out, "HTTP/1.1 408 ") {
		t.Errorf("20 bytes a second: %q", out)
	}
	if out := send(20, 500, 50*ms); !strings.HasPrefix(out, "HTTP/1.1 200 ") || !strings.HasSuffix(out, "10000") {
		t.Errorf("10,000 bytes a second: %q", out)
	}
	settled(t, r)
}
