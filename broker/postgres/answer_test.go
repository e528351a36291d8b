package postgres

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
)

// thief stands before a server, and takes away the answer to the one message that has the marker in it.
type thief struct {
	net.Listener
	server string
	mu     sync.Mutex
	marker []byte
	wg     sync.WaitGroup
}

func newThief(t *testing.T, server string) *thief {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &thief{Listener: l, server: server}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); p.wg.Wait() })
	return p
}

// steal waits for a message with the marker.
func (p *thief) steal(marker string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marker = []byte(marker)
}

// wanted says whether the message is the one; then nothing more is.
func (p *thief) wanted(message []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.marker) == 0 || !bytes.Contains(message, p.marker) {
		return false
	}
	p.marker = nil
	return true
}

func (p *thief) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var stolen atomic.Bool
	p.wg.Go(func() {
		defer client.Close()
		for b := make([]byte, 64<<10); ; {
			n, err := server.Read(b)
			if err != nil || stolen.Load() {
				return
			}
			if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
	})
	for b := make([]byte, 64<<10); ; {
		n, err := client.Read(b)
		if err != nil {
			return
		}
		if p.wanted(b[:n]) {
			stolen.Store(true)
		}
		if _, err := server.Write(b[:n]); err != nil {
			return
		}
	}
}

// lostAnswer: what was committed while the connection broke is not done again, and the caller is told that
// nobody knows.
func lostAnswer(t *testing.T, d *databases) {
	u := d.fresh(t, d.DSN)
	p := newThief(t, d.Addr)
	through, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	through.Host = p.Addr().String()
	s, look := open(t, Options{URL: through.String(), MaxConns: 2}), open(t, Options{URL: u, MaxConns: 2})
	fill(t, look, 3)
	done := func(sql string) {
		t.Helper()
		if n := count(t, look, sql); n != 1 {
			t.Errorf("done %d times", n)
		}
	}
	p.steal("commit")
	if _, err := s.AddJobs(t.Context(), broker.WithIDs([]broker.NewJob{{Kind: "work"}})); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a transaction whose end nobody knows: %v", err)
	}
	done(`SELECT count(*) FROM job`)

	r := record("anna")
	r.Key, r.KeyLife, r.Log.Ref = "key", time.Hour, "the lost one"
	p.steal("the lost one")
	if _, err := s.Login(t.Context(), r); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a statement whose end nobody knows: %v", err)
	}
	done(`SELECT count(*) FROM session`)
	again := record("anna")
	again.Key, again.KeyLife = r.Key, r.KeyLife
	if out, err := s.Login(t.Context(), again); err != nil || !out.Replayed || out.Session.ID != r.NewSession.ID {
		t.Errorf("the client asks again: %+v, %v", out, err)
	}
}
