package lb

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzRequest sends any bytes to a listener. Whatever they are: no panic, an end within the time
// limits, and every request that reaches the member is framed once, by a Content-Length or
// nothing, with one Host and no hop-by-hop field.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /index.pl?action=is_alive\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.0\n\nX: 1\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nX: 1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: content-length, host, x\r\nX: 1\r\nUpgrade: h2c\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
	} {
		f.Add([]byte(s))
	}
	var seen http.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			panic("the member could not read the body: " + err.Error())
		}
		if len(req.TransferEncoding) > 1 || req.Header.Get("Connection") != "" && req.Header.Get("Te") != "trailers" || req.Header.Get("Upgrade") != "" || len(req.Header["X-Forwarded-For"]) != 1 {
			panic("forwarded what must not be")
		}
		w.WriteHeader(http.StatusOK)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	bad := make(chan string, 1)
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer func() {
			if r := recover(); r != nil {
				select {
				case bad <- r.(string):
				default:
				}
			}
		}()
		seen.ServeHTTP(w, req)
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(ln) }()
	cfg := plainConfig([]Member{{Address: ln.Addr().String()}})
	table, err := Compile(cfg, noRef)
	if err != nil {
		f.Fatal(err)
	}
	p, err := New(Options{Listeners: cfg.Listeners, ReadTimeout: time.Second, IdleTimeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	if err := p.SetTable(table); err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-done; _ = srv.Close(); <-served })
	addr := p.Addr()["front"].String()
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = c.Write(data)
		_ = c.(*net.TCPConn).CloseWrite()
		out, err := io.ReadAll(c)
		if err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("no end, so far %q", out)
		}
		if len(out) > 0 && !bytes.HasPrefix(out, []byte("HTTP/1.1 ")) {
			t.Fatalf("answered %q", out)
		}
		// The member reads strictly too: its own 400 would mean that we forwarded nonsense. It
		// is told from ours by the text.
		if bytes.Contains(out, []byte("400 Bad Request: ")) {
			t.Fatalf("the member refused what was forwarded: %q", out)
		}
		select {
		case what := <-bad:
			t.Fatal(what)
		default:
		}
	})
}
