package lb

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// service is a real TCP server that does with each connection what serve says, and closes it.
type service struct {
	addr  string
	ln    net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	count int
}

func startService(t testing.TB, serve func(c *net.TCPConn)) *service {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{addr: ln.Addr().String(), ln: ln, conns: make(map[net.Conn]struct{})}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = struct{}{}
			s.count++
			s.mu.Unlock()
			s.wg.Go(func() {
				serve(c.(*net.TCPConn))
				_ = c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			})
		}
	})
	t.Cleanup(s.kill)
	return s
}

// kill closes listener and connections at once, with a reset as where a process is killed that has
// not read everything.
func (s *service) kill() {
	_ = s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		reset(c)
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *service) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// echo gives back what comes, to its end.
func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

// greet says a name first, then echoes.
func greet(name string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		_, _ = io.WriteString(c, name+"\n")
		echo(c)
	}
}

func tcpConfig(ms ...Member) Config {
	cfg := plainConfig(ms)
	cfg.Listeners = []Listener{{Name: "front", Listen: "127.0.0.1:0", Pool: "brokers", Mode: modeTCP}}
	return cfg
}

func services(ss ...*service) []Member {
	var ms []Member
	for i, s := range ss {
		ms = append(ms, Member{Name: string(rune('a' + i)), Address: s.addr})
	}
	return ms
}

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// line reads until the end of a line, byte by byte so that nothing behind it is lost.
func line(t testing.TB, c net.Conn) string {
	t.Helper()
	var b strings.Builder
	one := make([]byte, 1)
	for {
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatalf("after %q: %v", b.String(), err)
		}
		if one[0] == '\n' {
			return b.String()
		}
		b.WriteByte(one[0])
	}
}

func say(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// series are those of a member of the first listener's own pool.
func (r *running) series(member string) *tcpSeries {
	r.t.Helper()
	own := r.live.Load().listeners[0].own()
	for i, m := range own.members {
		if m.name == member {
			return &own.tcp[i]
		}
	}
	return &own.tcp[len(own.tcp)-1]
}

// ended waits until one connection to a member has ended, and ended so.
func (r *running) ended(t *testing.T, member string, want ending) {
	t.Helper()
	s := r.series(member)
	got := open
	eventually(t, "a connection ended", func() bool {
		for e := clientEnd; e < endings; e++ {
			if testutil.ToFloat64(s.ends[e]) > 0 {
				got = e
			}
		}
		return got != open
	})
	if got != want {
		t.Errorf("it ended by %q, want %q", got, want)
	}
}

// settled says whether bytes have moved and no more do.
func (r *running) settled(member string) bool {
	s := r.series(member)
	moved := func() float64 { return testutil.ToFloat64(s.in) + testutil.ToFloat64(s.out) }
	before := moved()
	time.Sleep(100 * ms)
	return before > 0 && moved() == before
}

// noise is n reproducible bytes.
func noise(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1, 2, 3}), n)
}
