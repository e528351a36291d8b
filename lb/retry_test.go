package lb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestPostIsNotRepeated: the member reads a POST and dies. It may have done the work.
func TestPostIsNotRepeated(t *testing.T) {
	var got atomic.Int64
	deadly := rawBackend(t, func(int, string) string { got.Add(1); return "" })
	b := startBackend(t, says("b"))
	tests := []struct {
		name   string
		header string
		method string
	}{
		{"POST", "", "POST"},
		{"POST with a key on a fresh connection", "Idempotency-Key: k1\r\n", "POST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, plainConfig([]Member{{Address: b.addr}, {Address: deadly}}))
			before := got.Load()
			out := raw(t, r.addr, tt.method+" /login HTTP/1.1\r\nHost: x\r\n"+tt.header+"Content-Length: 2\r\nConnection: close\r\n\r\nhi")
			if !strings.HasPrefix(out, "HTTP/1.1 502 ") {
				t.Errorf("got %q", out)
			}
			if n := got.Load() - before; n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

// staleBackend answers the first request of a connection and dies of the second one, having
// read it. It counts what it read, per method.
func staleBackend(t *testing.T) (addr string, posts, gets *atomic.Int64) {
	posts, gets = &atomic.Int64{}, &atomic.Int64{}
	b := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			posts.Add(1)
		} else {
			gets.Add(1)
		}
		if req.URL.Path == "/die" {
			if c := req.Context().Value(http.LocalAddrContextKey); c != nil && req.Header.Get("X-Second") != "" {
				panic(http.ErrAbortHandler)
			}
		}
	}))
	return b.addr, posts, gets
}

func TestRetryOnKeptConnection(t *testing.T) {
	send := func(r *running, method, header string) string {
		return raw(t, r.addr, method+" /die HTTP/1.1\r\nHost: x\r\nX-Second: 1\r\n"+header+"Content-Length: 0\r\nConnection: close\r\n\r\n")
	}
	warm := func(t *testing.T) (*running, *atomic.Int64, *atomic.Int64) {
		addr, posts, gets := staleBackend(t)
		r := start(t, plainConfig([]Member{{Address: addr}}))
		if status, _ := get(t, client(t, nil), "http://"+r.addr+"/"); status != 200 {
			t.Fatal(status)
		}
		posts.Store(0)
		gets.Store(0)
		return r, posts, gets
	}
	t.Run("POST is sent once", func(t *testing.T) {
		r, posts, _ := warm(t)
		if out := send(r, "POST", ""); !strings.HasPrefix(out, "HTTP/1.1 502 ") || posts.Load() != 1 {
			t.Errorf("sent %d times, answer %q", posts.Load(), out)
		}
	})
	t.Run("POST with a key is sent again", func(t *testing.T) {
		r, posts, _ := warm(t)
		if send(r, "POST", "Idempotency-Key: k\r\n"); posts.Load() != 2 {
			t.Errorf("sent %d times, want 2: kept connection, then a fresh one", posts.Load())
		}
	})
	t.Run("a key that is for this hop only counts for nothing", func(t *testing.T) {
		r, posts, _ := warm(t)
		out := raw(t, r.addr, "POST /die HTTP/1.1\r\nHost: x\r\nX-Second: 1\r\nIdempotency-Key: k\r\nContent-Length: 0\r\nConnection: close, Idempotency-Key\r\n\r\n")
		if !strings.HasPrefix(out, "HTTP/1.1 502 ") || posts.Load() != 1 {
			t.Errorf("sent %d times, answer %q", posts.Load(), out)
		}
	})
	t.Run("GET is sent again", func(t *testing.T) {
		r, _, gets := warm(t)
		if send(r, "GET", ""); gets.Load() != 2 {
			t.Errorf("sent %d times, want 2", gets.Load())
		}
	})
	t.Run("POST after the member restarted succeeds", func(t *testing.T) {
		a := startBackend(t, says("a"))
		r := start(t, plainConfig(members(a)))
		c := client(t, nil)
		get(t, c, "http://"+r.addr+"/")
		a.kill()
		startBackendOn(t, a.addr, says("again"))
		resp, err := c.Post("http://"+r.addr+"/", "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); string(body) != "again" {
			t.Errorf("got %d %q", resp.StatusCode, body)
		}
	})
}

// dyingBackend answers the first request of its first connection, and dies of the next one: that one
// and all connections after it break when their request was read. It counts those.
func dyingBackend(t *testing.T) (addr string, lost *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lost = &atomic.Int64{}
	var serving sync.WaitGroup
	serving.Go(func() {
		for first := true; ; first = false {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for n := 0; ; n++ {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if !first || n > 0 {
						lost.Add(1)
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		serving.Wait()
	})
	return ln.Addr().String(), lost
}

// TestDyingMember: a member that is killed loses its kept-alive connections, and takes one more that
// breaks too. A request that may be repeated goes on to another member, but not to a third.
func TestDyingMember(t *testing.T) {
	send := func(r *running, method, header string) string {
		return raw(t, r.addr, method+" / HTTP/1.1\r\nHost: x\r\n"+header+"Content-Length: 0\r\nConnection: close\r\n\r\n")
	}
	// A client that is bound to the dying member has its connection warm.
	warm := func(t *testing.T, others ...*backend) (*running, *atomic.Int64) {
		addr, lost := dyingBackend(t)
		cfg := plainConfig([]Member{{Name: "dying", Address: addr, Priority: 1}})
		for i, b := range others {
			cfg.Pools[0].Members = append(cfg.Pools[0].Members, Member{Name: fmt.Sprint("other", i), Address: b.addr})
		}
		r := start(t, cfg)
		if out := send(r, "GET", ""); !strings.HasSuffix(out, "first") {
			t.Fatal(out)
		}
		return r, lost
	}
	t.Run("GET", func(t *testing.T) {
		r, lost := warm(t, startBackend(t, says("other")))
		if out := send(r, "GET", ""); !strings.HasSuffix(out, "other") || lost.Load() != 2 {
			t.Errorf("sent %d times to the one that died, got %q", lost.Load(), out)
		}
	})
	t.Run("POST", func(t *testing.T) {
		r, lost := warm(t, startBackend(t, says("other")))
		if out := send(r, "POST", ""); !strings.HasPrefix(out, "HTTP/1.1 502 ") || lost.Load() != 1 {
			t.Errorf("sent %d times to the one that died, got %q", lost.Load(), out)
		}
	})
	t.Run("POST with a key", func(t *testing.T) {
		r, _ := warm(t, startBackend(t, says("other")))
		if out := send(r, "POST", "Idempotency-Key: k\r\n"); !strings.HasSuffix(out, "other") {
			t.Errorf("got %q", out)
		}
	})
	t.Run("GET on a fresh connection only", func(t *testing.T) {
		var got atomic.Int64
		deadly := rawBackend(t, func(int, string) string { got.Add(1); return "" })
		r := start(t, plainConfig([]Member{{Address: deadly, Priority: 1}, {Address: startBackend(t, says("other")).addr}}))
		if out := send(r, "GET", ""); !strings.HasSuffix(out, "other") || got.Load() != 1 {
			t.Errorf("sent %d times to the one that died, got %q", got.Load(), out)
		}
	})
	t.Run("nobody else", func(t *testing.T) {
		r, lost := warm(t)
		if out := send(r, "GET", ""); !strings.HasPrefix(out, "HTTP/1.1 502 ") || lost.Load() != 2 {
			t.Errorf("sent %d times, got %q", lost.Load(), out)
		}
	})
	t.Run("the next one dies too", func(t *testing.T) {
		var got atomic.Int64
		deadly := rawBackend(t, func(int, string) string { got.Add(1); return "" })
		r, _ := warm(t, &backend{addr: deadly}, startBackend(t, says("third")))
		cfg := r.live.Load().pools[0]
		cfg.ups[2].Unreachable(r.now()) // the third is avoided, so that the deadly one is next
		if out := send(r, "GET", ""); !strings.HasPrefix(out, "HTTP/1.1 502 ") || got.Load() != 1 {
			t.Errorf("sent %d times to the second, got %q", got.Load(), out)
		}
	})
}
