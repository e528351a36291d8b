package lb

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"testing"
)

// BenchmarkProxy is one kept-alive client through the listener to one kept-alive member, 1 KB
// answers, persistence and metrics on. The client and the member of the benchmark allocate
// nothing per request, so the count is the balancer's.
func BenchmarkProxy(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkProxy(b, func(l *Listener) { l.RequestID = noRequestID }) })
	b.Run("sampled log", func(b *testing.B) {
		log := filepath.Join(b.TempDir(), "access.log")
		benchmarkProxy(b, func(l *Listener) { l.AccessLog, l.AccessLogSample = log, 100 })
	})
	b.Run("all", func(b *testing.B) {
		log := filepath.Join(b.TempDir(), "access.log")
		benchmarkProxy(b, func(l *Listener) {
			l.RequestID, l.RequestIDAnswer, l.Forwarded = DefaultRequestID, true, true
			l.AccessLog, l.AccessLogSample = log, 1
			l.Routes = []Route{{Host: "*.company.com", Pool: "brokers"}, {Path: "/page", Pool: "brokers"}}
		})
	})
}

func benchmarkProxy(b *testing.B, edit func(*Listener)) {
	once := proxyOnce(b, edit)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}

// TestNoAllocations: a proxied request allocates nothing, with persistence, metrics, ids and every
// line of the access log on.
func TestNoAllocations(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	once := proxyOnce(t, func(l *Listener) {
		l.RequestID, l.RequestIDAnswer, l.AccessLog, l.AccessLogSample = DefaultRequestID, true, log, 1
	})
	for range 500 {
		once()
	}
	limit := 0.05 // what the log's writer and other tests' remains do meanwhile
	if raceDetector {
		limit = 10 // sync.Pool drops things on purpose then
	}
	if n := testing.AllocsPerRun(3000, once); n > limit {
		t.Errorf("%v allocations for each request", n)
	}
}

// proxyOnce gives one request through a running proxy.
func proxyOnce(b testing.TB, edit func(*Listener)) (once func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	body := append(make([]byte, 1023), '.')
	answer := append([]byte("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n"), body...)
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}()
	cfg := plainConfig([]Member{{Address: ln.Addr().String()}})
	cfg.Pools[0].Method, cfg.Pools[0].Persistence = DefaultMethod, DefaultPersistence
	edit(&cfg.Listeners[0])
	table, err := Compile(cfg, noRef)
	if err != nil {
		b.Fatal(err)
	}
	p, err := New(Options{Listeners: cfg.Listeners})
	if err != nil {
		b.Fatal(err)
	}
	if err := p.SetTable(table); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; ln.Close(); <-served })
	c, err := net.Dial("tcp", p.Addr()["front"].String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	request := []byte("GET /page?x=1 HTTP/1.1\r\nHost: cb.company.com\r\nUser-Agent: bench\r\nAccept: */*\r\nCookie: a=b\r\n\r\n")
	buf := make([]byte, len(answer)+1024)
	return func() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		for n := 0; !bytes.HasSuffix(buf[:n], body); {
			m, err := c.Read(buf[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += m
		}
	}
}
