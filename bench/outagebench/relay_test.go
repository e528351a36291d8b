package outagebench

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestRelay: bytes pass; while it is silent connections stay and none does; afterwards they go on.
func TestRelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	r, err := newRelay("127.0.0.1", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	echo := func(c net.Conn, within time.Duration) error {
		_ = c.SetDeadline(time.Now().Add(within))
		if _, err := c.Write([]byte("hello\n")); err != nil {
			return err
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && line != "hello\n" {
			t.Errorf("%q came back", line)
		}
		return err
	}
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", r.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	old := dial()
	if err := echo(old, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	r.fallSilent()
	fresh := dial()
	for name, c := range map[string]net.Conn{"old": old, "fresh": fresh} {
		if err := echo(c, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the %s connection to a silent server: %v", name, err)
		}
	}
	r.speak()
	if _, err := bufio.NewReader(fresh).ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client that has waited for too long: %v", err)
	}
	_ = fresh.SetDeadline(time.Now().Add(10 * time.Second))
	if line, err := bufio.NewReader(fresh).ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("what was held back: %q, %v", line, err)
	}
	r.close()
	_ = old.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, old); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection outlives the relay")
	}
}
