package healthcheck

import (
	"errors"
	"io"
	"net"
	"testing"
)

// TestBoundedForgetsOurOwnClose: what ended reading is the target's doing or nothing at all.
func TestBoundedForgetsOurOwnClose(t *testing.T) {
	dial := func(target func(net.Conn)) *bounded {
		conn, err := net.Dial("tcp", responder(t, target))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return newBounded(conn)
	}
	ours := dial(stall)
	_ = ours.Close()
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if _, why := ours.seen(); why != nil {
		t.Errorf("our own close is kept as %v", why)
	}
	theirs := dial(func(c net.Conn) { _ = c.Close() })
	if _, err := theirs.Read(make([]byte, 1)); err == nil {
		t.Fatal("read from a closed connection")
	}
	if _, why := theirs.seen(); !errors.Is(why, io.EOF) {
		t.Errorf("the target's close is kept as %v", why)
	}
}
