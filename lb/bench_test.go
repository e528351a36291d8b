package lb

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
)

// BenchmarkProxy is one kept-alive client through the listener to one kept-alive member, 1 KB
// answers, persistence and metrics on. The client and the member of the benchmark allocate
// nothing per request, so the count is the balancer's.
func BenchmarkProxy(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	answer := []byte("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + string(make([]byte, 1024)))
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
	defer func() { cancel(); <-done; ln.Close(); <-served }()
	c, err := net.Dial("tcp", p.Addr()["front"].String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request := []byte("GET /page?x=1 HTTP/1.1\r\nHost: cb.company.com\r\nUser-Agent: bench\r\nAccept: */*\r\nCookie: a=b\r\n\r\n")
	buf := make([]byte, len(answer))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}
