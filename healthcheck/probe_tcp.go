package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// newTCP is kind "tcp": connect; with Send, send it; with Receive or ReceiveDisable, read until
// the stream contains one of them. With Send alone any answer will do, but there must be one.
func newTCP(m Monitor, d *dialer) (exchange, error) {
	want, err := newMatcher(m.Receive)
	if err != nil {
		return nil, err
	}
	off, err := newMatcher(m.ReceiveDisable)
	if err != nil {
		return nil, err
	}
	t := &talk{want: want, off: off, reverse: m.Reverse, okay: "answered"}
	switch {
	case t.reverse:
		t.okay = "the stream does not contain " + want.name
	case !want.any():
		t.okay = "the stream contains " + want.name
	}
	send := []byte(m.Send)
	return func(ctx context.Context, address string, r *Result) {
		conn := d.dialAndSend(ctx, address, send, r)
		if conn == nil {
			return
		}
		defer conn.Close()
		if len(send) == 0 && want.any() && off.any() {
			r.State, r.Reason = Up, "connected"
			return
		}
		t.read(ctx, conn, r)
	}, nil
}

// talk is what a stream is judged by.
type talk struct {
	want, off matcher
	reverse   bool
	okay      string // reason of a success
}

// read reads at most bodyLimit bytes until they decide. In reverse a stream that ends, or says
// no more until the time-out, without a match is the success.
func (t *talk) read(ctx context.Context, conn io.Reader, r *Result) {
	start := time.Now()
	want, off := scan{m: t.want}, scan{m: t.off}
	buf := make([]byte, 0, 1024)
	defer func() { r.keep(buf) }()
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := conn.Read(buf[len(buf):min(cap(buf), bodyLimit)])
		if n > 0 && len(buf) == 0 {
			r.TTFB = time.Since(start)
		}
		buf = buf[:len(buf)+n]
		last := err != nil || len(buf) >= bodyLimit
		switch {
		case len(buf) > 0 && !t.off.any() && off.more(buf, last):
			r.State, r.Reason = Draining, "the stream contains "+t.off.name+" (receive_disable)"
			return
		case len(buf) > 0 && want.more(buf, last):
			t.matched(r)
			return
		case !last:
			continue
		}
		t.ended(ctx, buf, err, r)
		return
	}
}

// matched judges a stream that contains what receive says.
func (t *talk) matched(r *Result) {
	if t.reverse {
		r.down("the stream contains " + t.want.name + ", which must not be there")
		return
	}
	r.State, r.Reason = Up, t.okay
}

// ended judges a stream that ended, or grew too long, without a match.
func (t *talk) ended(ctx context.Context, buf []byte, err error, r *Result) {
	switch {
	case len(buf) == 0:
		r.fail(ctx, inFirstByte, err)
	case t.reverse && !errors.Is(ctx.Err(), context.Canceled):
		r.State, r.Reason = Up, t.okay
	case err != nil:
		r.failStream(ctx, t.want, buf, err)
	default:
		r.down(fmt.Sprintf("the first %d KB of the stream do not contain %s, they begin with %s", bodyLimit>>10, t.want.name, show(buf)))
	}
}

// failStream says that a stream ended without what was wanted, and what it was instead.
func (r *Result) failStream(ctx context.Context, want matcher, buf []byte, err error) {
	if errors.Is(err, io.EOF) {
		r.down(fmt.Sprintf("the stream was %s, wanted %s", show(buf), want.name))
		return
	}
	r.fail(ctx, inStream, err)
	r.Reason += fmt.Sprintf(": so far it was %s, wanted %s", show(buf), want.name)
}
