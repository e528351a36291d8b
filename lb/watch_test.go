//go:build linux

package lb

import (
	"net"
	"testing"
)

// TestNudgeIsNotLost: a client that closes its side just when its limit changes is asked by the next
// look.
func TestNudgeIsNotLost(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far := dial(t, ln.Addr().String())
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	c := &clientConn{wire: wire{Conn: near, sock: near.(*net.TCPConn)}}
	if err := far.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end is here", func() bool { return look(c) != 0 })
	c.until(200)
	var list watchList
	list.add(c, 100) // as it was when the list was made
	list.judge()
	if c.spoken() != 0 {
		t.Fatalf("a limit that is no more was answered: %d", c.spoken())
	}
	list.reset()
	list.add(c, 200)
	list.judge()
	if c.spoken() != nudged {
		t.Errorf("the watcher said %d, want %d", c.spoken(), nudged)
	}
}
