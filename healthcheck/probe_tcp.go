package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// newTCP is kind "tcp": connect; with Send, send it; with Receive, read until the stream
// contains it. With Send and without Receive any answer will do, but there must be one.
func newTCP(m Monitor, d *dialer) (exchange, error) {
	want, err := newMatcher(m.Receive)
	if err != nil {
		return nil, err
	}
	send := []byte(m.Send)
	okay := "the stream contains " + want.name
	return func(ctx context.Context, address string, r *Result) {
		conn := d.dial(ctx, address, r)
		if conn == nil {
			return
		}
		defer conn.Close()
		if len(send) > 0 {
			if _, err := conn.Write(send); err != nil {
				r.fail(ctx, inSend, err)
				return
			}
		}
		switch {
		case !want.any():
			readStream(ctx, conn, want, okay, r)
		case len(send) > 0:
			readStream(ctx, conn, want, "answered", r)
		default:
			r.State, r.Reason = Up, "connected"
		}
	}, nil
}

// readStream reads at most bodyLimit bytes until they contain what is wanted.
func readStream(ctx context.Context, conn io.Reader, want matcher, okay string, r *Result) {
	start := time.Now()
	seen := scan{m: want}
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
		case len(buf) > 0 && seen.more(buf, last):
			r.State, r.Reason = Up, okay
			return
		case err != nil && len(buf) == 0:
			r.fail(ctx, inFirstByte, err)
			return
		case err != nil:
			r.failStream(ctx, want, buf, err)
			return
		case last:
			r.down(fmt.Sprintf("the first %d KB of the stream do not contain %s, they begin with %s", bodyLimit>>10, want.name, show(buf)))
			return
		}
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
