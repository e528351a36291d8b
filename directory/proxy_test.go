package directory

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between client and server and can hold back or cut what passes.
type proxy struct {
	listener net.Listener
	to       string
	accepted atomic.Int64
	wg       sync.WaitGroup
	frozen   atomic.Bool
	swallow  atomic.Int64 // how often something was swallowed

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to}
	p.wg.Go(p.run)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// freeze swallows everything that clients send from now on.
func (p *proxy) freeze(on bool) { p.frozen.Store(on) }

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) run() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.accepted.Add(1)
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.copy(out, in, true) })
		p.wg.Go(func() { p.copy(in, out, false) })
	}
}

func (p *proxy) copy(dst, src net.Conn, freezable bool) {
	defer dst.Close()
	defer src.Close()
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		if freezable && p.frozen.Load() {
			p.swallow.Add(1)
			continue
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}
