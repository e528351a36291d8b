//go:build unix

package lb

import (
	"bufio"
	"io"
	"net"
	"net/http/httputil"
	"strings"
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
	c, err := u.dial(nil)
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

// TestSlowClientIsNotTheMembersFault: the client took longer for a piece than a member may, and
// half of the next chunk's head is already there.
func TestSlowClientIsNotTheMembersFault(t *testing.T) {
	client, gone := net.Pipe()
	defer client.Close()
	defer gone.Close()
	near, far := net.Pipe()
	defer near.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(far, "3\r\nabc\r\n5")
		_, _ = io.WriteString(far, "\r\nhello\r\n0\r\n\r\n")
	}()
	defer func() { _ = far.Close(); <-sent }()
	c := &upConn{Conn: near, br: bufio.NewReader(near)}
	if _, err := c.br.Peek(9); err != nil {
		t.Fatal(err)
	}
	s := &bodyStream{ex: &exchange{client: &clientConn{Conn: client}}, c: c, r: httputil.NewChunkedReader(c.br), chunked: true}
	var got strings.Builder
	for buf := make([]byte, 100); got.String() != "abchello"; {
		if err := near.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := s.Read(buf)
		got.Write(buf[:n])
		if err != nil && (err != io.EOF || got.String() != "abchello") {
			t.Fatalf("after %q: %v", got.String(), err)
		}
	}
	if s.ex.brokeOff {
		t.Error("it counts as broken off")
	}
}

// TestCheckHead: a head is waited for and left to the parser, however it is cut.
func TestCheckHead(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
	near, far := net.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range len(head) {
			_, _ = io.WriteString(far, head[i:i+1])
		}
		_, _ = io.WriteString(far, "body")
	}()
	defer func() { _ = near.Close(); <-sent }()
	br := bufio.NewReader(near)
	if err := checkHead(br, &answerHead{}); err != nil {
		t.Fatal(err)
	}
	if got, err := br.Peek(len(head) + 4); err != nil || string(got) != head+"body" {
		t.Errorf("%q, %v", got, err)
	}
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
