package lb

import (
	"errors"
	"io"
	"net"
	"time"
)

var (
	// errFull: what should be one piece does not fit into the largest buffer allowed.
	errFull = errors.New("lb: the buffer is full")
	// errLoud: a connection has something to read that nobody asked for, or was closed.
	errLoud = errors.New("lb: the connection was closed or spoke unasked")
)

// wire is one side's connection with what was read from it and not used yet. It borrows a buffer
// when bytes are there and gives it back when they are used, so that one that waits holds none.
type wire struct {
	// shared: an upload reads from Conn while the exchange writes to it, so it stays what it is.
	shared   bool
	net.Conn              // what is read and written: TCP, or TLS above it
	sock     *net.TCPConn // what lies below, nil where that is no TCP
	pool     *buffers
	buf      *buffer
	r, w     int // the unused bytes, in buf.b
	direct       // reading at the descriptor, where that is possible
	// inner is what Conn wraps, where that is needed for the first bytes only.
	inner net.Conn
}

// data is what was read and not used yet.
func (w *wire) data() []byte {
	if w.buf == nil {
		return nil
	}
	return w.buf.b[w.r:w.w]
}

// skip marks n bytes as used. They stay where they are until the next fill.
func (w *wire) skip(n int) {
	if w.r += n; w.r == w.w {
		w.r, w.w = roomBefore, roomBefore
	}
}

// lend gives the buffer back if it is empty.
func (w *wire) lend() {
	if w.buf != nil && w.r == w.w {
		w.pool.put(w.buf)
		w.buf = nil
	}
}

// detach takes the buffer away with all that is in it: what was read stays valid while the wire
// goes on reading into another one.
func (w *wire) detach() *buffer {
	b := w.buf
	w.buf = nil
	return b
}

// free gives back whatever the wire holds.
func (w *wire) free() {
	if w.buf != nil {
		w.pool.put(w.buf)
		w.buf = nil
	}
}

// fill reads at least one byte more, at most limit where that is not 0. The buffer is of class
// first, and grows to last when it is full; then fill fails with errFull.
func (w *wire) fill(first, last bufferClass, limit int64) error {
	if w.rawConn != nil {
		return w.fillDirect(first, last, limit)
	}
	space := w.space(first, last)
	if len(space) == 0 {
		return errFull
	}
	space = upTo(space, limit)
	n, err := w.Conn.Read(space)
	if w.w += n; n > 0 {
		if w.inner != nil && !w.shared && n < len(space) { // a wrapper that had more would have given more
			w.unwrap()
		}
		return nil
	}
	w.lend()
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// unwrap leaves the wrappers that only looked at the first bytes.
func (w *wire) unwrap() {
	if early, is := w.inner.(*begunConn); is {
		if len(early.rest) > 0 {
			return
		}
		w.inner = early.Conn
	}
	w.Conn, w.inner = w.inner, nil
	if w.Conn == net.Conn(w.sock) {
		w.useDescriptor()
	}
}

func upTo(space []byte, limit int64) []byte {
	if limit > 0 && limit < int64(len(space)) {
		return space[:limit]
	}
	return space
}

// space gives room for more bytes, none if a buffer of class last is full.
func (w *wire) space(first, last bufferClass) []byte {
	switch {
	case w.buf == nil:
		w.buf = w.pool.get(first)
		w.r, w.w = roomBefore, roomBefore
	case w.r == w.w:
		if w.buf.class < first {
			w.pool.put(w.buf)
			w.buf = w.pool.get(first)
		}
		w.r, w.w = roomBefore, roomBefore
	case w.w < len(w.buf.b)-roomAfter:
	case w.r > roomBefore && w.buf.class >= first:
		w.w = roomBefore + copy(w.buf.b[roomBefore:], w.buf.b[w.r:w.w])
		w.r = roomBefore
	case w.buf.class < last:
		w.grow(w.buf.class + 1)
	}
	return w.buf.b[w.w : len(w.buf.b)-roomAfter]
}

// grow moves the unused bytes into a buffer of the class.
func (w *wire) grow(class bufferClass) {
	next := w.pool.get(class)
	w.w = roomBefore + copy(next.b[roomBefore:], w.buf.b[w.r:w.w])
	w.r = roomBefore
	w.pool.put(w.buf)
	w.buf = next
}

// ask sends a whole request on a connection that must have nothing to read, and waits for the
// first bytes of the answer. sent is how much of it went out: after 0 nothing was sent. A fresh
// connection under TLS may have something to read that is TLS's own.
func (w *wire) ask(out []byte, fresh bool) (sent int, err error) {
	if w.rawConn != nil {
		if sent, err = w.askDirect(out); err != nil || sent == len(out) {
			return sent, err
		}
	} else if !fresh && !w.quiet() {
		return 0, errLoud
	}
	n, err := w.Conn.Write(out[sent:])
	if sent += n; err != nil {
		return max(sent, 1), err // TLS may have sent a part of it
	}
	return sent, w.fill(headBuffer, headBuffer, 0)
}

// wake ends the waits of whoever reads or writes here, now and until calm.
func (w *wire) wake() {
	if w.sock != nil {
		_ = w.sock.SetDeadline(time.Unix(1, 0)) // of a closed one: nobody waits there
	}
}

// calm lets the connection be used again after wake.
func (w *wire) calm() error {
	if w.sock == nil {
		return nil
	}
	return w.sock.SetDeadline(time.Time{})
}
