package lb

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// zeros gives n bytes without holding them.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

// Read gives zeros.
func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestFlatMemory: 100 MB go through in both directions, framed by length and in chunks, and none
// of it piles up.
func TestFlatMemory(t *testing.T) {
	const size = 100 << 20
	var got int64
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n, err := io.Copy(io.Discard, req.Body)
		if err != nil {
			t.Error(err)
		}
		got = n
		if req.URL.Path == "/length" {
			w.Header().Set("Content-Length", itoa(size))
		}
		_, _ = io.Copy(w, zeros(size))
	}))
	r := start(t, plainConfig(members(a)))
	cl := client(t, nil)
	cl.Timeout = time.Minute
	for _, path := range []string{"/length", "/chunks"} {
		body := zeros(size)
		req, err := http.NewRequest(http.MethodPost, "http://"+r.addr+path, body)
		if err != nil {
			t.Fatal(err)
		}
		if path == "/length" {
			req.ContentLength = size
		}
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		peak := watchHeap(t)
		resp, err := cl.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if most := peak(); err != nil || n != size || got != size || most > before.HeapAlloc+16<<20 {
			t.Errorf("%s: %d up, %d down, %v, heap %d -> %d", path, got, n, err, before.HeapAlloc, most)
		}
	}
	eventually(t, "in flight 0", func() bool { return r.Explain("front", loopback).Members[0].InFlight == 0 })
}

// watchHeap looks at the heap until the function that it gives is called, which gives the most.
func watchHeap(t *testing.T) (peak func() uint64) {
	stop, done := make(chan struct{}), make(chan struct{})
	var most uint64
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * ms)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	}()
	return func() uint64 { close(stop); <-done; return most }
}

// TestEarlyAnswers: a member answers before it has read the body. The client gets the answer at
// once, and the connection ends.
func TestEarlyAnswers(t *testing.T) {
	covers.Req(t, "LB5")
	for _, answer := range []string{"413 Too Large", "401 Who", "302 Elsewhere", "200 OK"} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprint(answer, " chunked ", chunked), func(t *testing.T) {
				addr := serveRaw(t, func(c net.Conn) {
					readHead(bufio.NewReader(c))
					_, _ = io.WriteString(c, "HTTP/1.1 "+answer+"\r\nContent-Length: 5\r\n\r\nearly")
					_, _ = io.Copy(io.Discard, c)
				})
				r := start(t, plainConfig([]Member{{Address: addr}}))
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				framing := "Content-Length: 1000000000"
				if chunked {
					framing = "Transfer-Encoding: chunked"
				}
				_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\n"+framing+"\r\n\r\n")
				stop := make(chan struct{})
				var sending sync.WaitGroup
				sending.Go(func() { // until the balancer does not take any more
					piece := []byte(fmt.Sprintf("%x\r\n%s\r\n", 1<<16, make([]byte, 1<<16)))
					for {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := c.Write(piece); err != nil {
							return
						}
					}
				})
				_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || string(body) != "early" || resp.Status != answer || !resp.Close {
					t.Errorf("got %s %q, close %v, %v", resp.Status, body, resp.Close, err)
				}
				close(stop)
				_ = c.Close()
				sending.Wait()
				eventually(t, "in flight 0", func() bool { return r.Explain("front", loopback).Members[0].InFlight == 0 })
			})
		}
	}
}

// TestBothWaysAtOnce: an answer that has begun does not end the upload: an echo of more than any
// buffer holds comes back while it is sent.
func TestBothWaysAtOnce(t *testing.T) {
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(w, req.Body)
	}))
	r := start(t, plainConfig(members(a)))
	const size = 20 << 20
	resp, err := client(t, nil).Post("http://"+r.addr+"/", "text/plain", zeros(size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d of %d, %v", n, size, err)
	}
}

// TestContinue: the expectation goes to the member, whose word comes back; a member that says
// nothing does not keep the client waiting.
func TestContinue(t *testing.T) {
	covers.Req(t, "LB5")
	ask := func(t *testing.T, serve func(c net.Conn, br *bufio.Reader), wait func(br *bufio.Reader, c net.Conn)) {
		t.Helper()
		addr := serveRaw(t, func(c net.Conn) { serve(c, bufio.NewReader(c)) })
		r := start(t, plainConfig([]Member{{Address: addr}}))
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		wait(bufio.NewReader(c), c)
	}
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	sendRest := func(t *testing.T) func(*bufio.Reader, net.Conn) {
		return func(br *bufio.Reader, c net.Conn) {
			if head := readHead(br); head != "HTTP/1.1 100 Continue\r\n\r\n" {
				t.Fatalf("got %q", head)
			}
			_, _ = io.WriteString(c, "hello")
			if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
				t.Errorf("then %q", head)
			}
		}
	}
	readBody := func(t *testing.T, br *bufio.Reader) {
		body := make([]byte, 5)
		if _, err := io.ReadFull(br, body); err != nil || string(body) != "hello" {
			t.Errorf("the member got %q, %v", body, err)
		}
	}
	t.Run("the member says continue", func(t *testing.T) {
		ask(t, func(c net.Conn, br *bufio.Reader) {
			if head := readHead(br); !strings.Contains(head, "\r\nExpect: 100-continue\r\n") {
				t.Errorf("the member got %q", head)
			}
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			readBody(t, br)
			_, _ = io.WriteString(c, ok)
		}, sendRest(t))
	})
	t.Run("the member waits for the body", func(t *testing.T) {
		ask(t, func(c net.Conn, br *bufio.Reader) {
			readHead(br)
			readBody(t, br)
			_, _ = io.WriteString(c, ok)
		}, sendRest(t))
	})
	t.Run("the member refuses", func(t *testing.T) {
		ask(t, func(c net.Conn, br *bufio.Reader) {
			readHead(br)
			_, _ = io.WriteString(c, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, br)
		}, func(br *bufio.Reader, c net.Conn) {
			if out, err := io.ReadAll(br); err != nil || !strings.HasPrefix(string(out), "HTTP/1.1 413 ") || !strings.Contains(string(out), "Connection: close") {
				t.Errorf("got %q, %v", out, err)
			}
		})
	})
}

// TestTrailers: they reach the member, and a client that says that it takes them.
func TestTrailers(t *testing.T) {
	covers.Req(t, "LB5")
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprintf(w, "%s %s", body, req.Trailer.Get("X-In"))
		w.Header().Set("X-Sum", "7")
	}))
	r := start(t, plainConfig(members(a)))
	const body = "Transfer-Encoding: chunked\r\nTrailer: X-In\r\nConnection: %s\r\n\r\n3\r\nabc\r\n0\r\nX-In: 5\r\n\r\n"
	for _, tt := range []struct{ first, options, end string }{
		{"POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n", "close, te", "abc 5\r\n0\r\nX-Sum: 7\r\n\r\n"},
		{"POST / HTTP/1.1\r\nHost: x\r\n", "close", "abc 5\r\n0\r\n\r\n"},
		{"POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n", "close", "abc 5\r\n0\r\n\r\n"}, // not as RFC 9110 10.1.4 wants it
	} {
		if out := raw(t, r.addr, tt.first+fmt.Sprintf(body, tt.options)); !strings.HasSuffix(out, tt.end) {
			t.Errorf("%q: got %q", tt.first, out)
		}
	}
	// HTTP/1.0 knows neither chunks nor trailers.
	if out := raw(t, r.addr, "POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 1\r\n\r\nz"); !strings.HasSuffix(out, "\r\n\r\nz ") || strings.Contains(out, "Trailer") {
		t.Errorf("HTTP/1.0: %q", out)
	}
}

// TestReplayedUpload: a request with a key whose body came in pieces is sent again whole after a
// kept-alive connection broke.
func TestReplayedUpload(t *testing.T) {
	var mu sync.Mutex
	var got []string
	first := true
	addr := serveRaw(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(req.Body)
			if req.Method == http.MethodPost {
				mu.Lock()
				got = append(got, string(body))
				dies := first
				first = false
				mu.Unlock()
				if dies {
					return
				}
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	r := start(t, plainConfig([]Member{{Address: addr}}))
	get(t, client(t, nil), "http://"+r.addr+"/")
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n")
	eventually(t, "the member is asked", func() bool { return r.Explain("front", loopback).Members[0].InFlight == 1 })
	<-time.After(3 * gatherWait)
	if out := rawOn(t, c, "3\r\ndef\r\n0\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 200 ") {
		t.Errorf("got %q", out)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 2 || got[0] != "abcdef" || got[1] != "abcdef" {
		t.Errorf("the member got %q", got)
	}
}

// TestPieceWithoutLength: what a member sends bit by bit reaches the client bit by bit.
func TestPieceWithoutLength(t *testing.T) {
	more := make(chan string)
	for name, framed := range map[string]bool{"chunks": true, "to the end": false} {
		t.Run(name, func(t *testing.T) {
			addr := serveRaw(t, func(c net.Conn) {
				readHead(bufio.NewReader(c))
				head := "HTTP/1.1 200 OK\r\n"
				if framed {
					head += "Transfer-Encoding: chunked\r\n"
				}
				_, _ = io.WriteString(c, head+"\r\n")
				for text := range more {
					if text == "" {
						break
					}
					if framed {
						text = fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
					}
					_, _ = io.WriteString(c, text)
				}
				if framed {
					_, _ = io.WriteString(c, "0\r\n\r\n")
				}
			})
			r := start(t, plainConfig([]Member{{Address: addr}}))
			resp, err := client(t, nil).Get("http://" + r.addr + "/") // the head is here before any data
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			for _, text := range []string{"one", strings.Repeat("two", 10_000), "three"} {
				more <- text
				got := make([]byte, len(text))
				if _, err := io.ReadFull(resp.Body, got); err != nil || !bytes.Equal(got, []byte(text)) {
					t.Fatalf("%.20q, %v", got, err)
				}
			}
			more <- ""
			if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
				t.Errorf("then %q, %v", rest, err)
			}
		})
	}
}
