//go:build unix

package lb

import (
	"net"
	"testing"
	"time"
)

// TestQuietAfterDeadline: the deadline of the last answer has passed while the connection was
// idle. It is as good as before.
func TestQuietAfterDeadline(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	u := &upstream{address: ln.Addr().String(), spec: dialSpec{timeout: time.Second}}
	c, err := u.dial(&clientConn{wire: wire{pool: &buffers{}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if !c.quiet() {
		t.Error("an open connection counts as closed")
	}
	_ = peer.Close()
	eventually(t, "a closed one is noticed", func() bool { return !c.quiet() })
}

// TestNoContentWithBody: the body that must not be is not read as the next answer.
func TestNoContentWithBody(t *testing.T) {
	_, addr := startMirror(t, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")
	r := start(t, plainConfig([]Member{{Address: addr}}))
	if status, _ := get(t, client(t, nil), "http://"+r.addr+"/"); status != 204 {
		t.Errorf("status %d", status)
	}
	eventually(t, "in flight 0", func() bool { return r.Explain("front", loopback).Members[0].InFlight == 0 })
	u := r.live.Load().pools[0].ups[0]
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.idle) != 0 {
		t.Error("the connection is kept")
	}
}
