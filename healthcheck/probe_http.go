package healthcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// web is the part that http and https share: one raw HTTP/1 exchange and its verdict.
type web struct {
	send    request
	want    matcher
	status  []int
	okay    string     // what is good about a success
	usual   string     // reason of a success with the first status, made once
	scratch *sync.Pool // of *scratch
}

// scratch is the memory that one exchange needs and the next one can use again.
type scratch struct {
	br  *bufio.Reader
	res response
}

func newWeb(m Monitor) (*web, error) {
	send, err := newRequest(m)
	if err != nil {
		return nil, err
	}
	want, err := newMatcher(m.Receive)
	if err != nil {
		return nil, err
	}
	w := &web{send: send, want: want, status: m.Status, okay: "any body"}
	if !want.any() {
		w.okay = "the body contains " + want.name
	}
	w.usual = strconv.Itoa(m.Status[0]) + ", " + w.okay
	w.scratch = &sync.Pool{New: func() any { return &scratch{br: bufio.NewReaderSize(nil, 4096)} }}
	return w, nil
}

// newHTTP is kind "http".
func newHTTP(m Monitor, d *dialer) (exchange, error) {
	w, err := newWeb(m)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, address string, r *Result) {
		conn := d.dial(ctx, address, r)
		if conn == nil {
			return
		}
		defer conn.Close()
		w.exchange(ctx, conn, address, r)
	}, nil
}

// exchange sends the request, reads the answer and judges it.
func (w *web) exchange(ctx context.Context, conn net.Conn, address string, r *Result) {
	s := w.scratch.Get().(*scratch)
	defer w.scratch.Put(s)
	s.br.Reset(conn)
	s.res = response{body: s.res.body[:0], length: -1}
	if _, err := conn.Write(w.send.bytes(address)); err != nil {
		r.fail(ctx, inSend, err)
		return
	}
	sent := time.Now()
	if _, err := s.br.Peek(1); err != nil {
		r.fail(ctx, inFirstByte, err)
		return
	}
	r.TTFB = time.Since(sent)
	if err := s.res.readHead(s.br); err != nil {
		r.keep(s.res.body)
		r.fail(ctx, inHeader, err)
		return
	}
	r.Status, r.Load = s.res.status, s.res.load
	w.decide(ctx, s, r)
}

// decide judges by the status, and then by the body if the status leaves it open.
func (w *web) decide(ctx context.Context, s *scratch, r *Result) {
	if r.Status == 503 {
		r.State, r.Reason = Overloaded, "503: the target says that it is overloaded"
		s.peekBody(r)
		return
	}
	if !slices.Contains(w.status, r.Status) {
		s.peekBody(r)
		r.down("status " + strconv.Itoa(r.Status) + ", wanted " + statusList(w.status))
		return
	}
	if w.want.any() {
		s.peekBody(r)
		w.up(r)
		return
	}
	var err error
	if !w.send.head {
		err = s.res.readBody(s.br)
	}
	r.keep(s.res.body)
	if err != nil {
		r.fail(ctx, inBody, err)
		var fault errFault
		if !errors.As(err, &fault) {
			r.Reason += fmt.Sprintf(" after %d bytes", len(s.res.body))
		}
		r.Reason = strconv.Itoa(r.Status) + " but " + r.Reason
		return
	}
	if w.want.in(s.res.body) {
		w.up(r)
		return
	}
	w.wrongBody(s, r)
}

func (w *web) wrongBody(s *scratch, r *Result) {
	switch {
	case len(s.res.body) == 0:
		r.down(fmt.Sprintf("%d but the body was empty, wanted %s", r.Status, w.want.name))
	case s.res.whole:
		r.down(fmt.Sprintf("%d but the body was %s, wanted %s", r.Status, show(s.res.body), w.want.name))
	default:
		r.down(fmt.Sprintf("%d but the first %d KB of the body do not contain %s, they begin with %s",
			r.Status, bodyLimit>>10, w.want.name, show(s.res.body)))
	}
}

// peekBody keeps what has already arrived of a body that decides nothing.
func (s *scratch) peekBody(r *Result) {
	n := s.br.Buffered()
	if s.res.length >= 0 {
		n = int(min(int64(n), s.res.length))
	}
	b, err := s.br.Peek(min(n, firstBytes))
	if err == nil {
		r.keep(b)
	}
}

// up makes r a success; the usual one costs no formatting.
func (w *web) up(r *Result) {
	r.State, r.Reason = Up, w.usual
	if r.Status != w.status[0] {
		r.Reason = strconv.Itoa(r.Status) + ", " + w.okay
	}
}

func statusList(codes []int) string {
	var b []byte
	for i, c := range codes {
		if i > 0 {
			b = append(b, " or "...)
		}
		b = strconv.AppendInt(b, int64(c), 10)
	}
	return string(b)
}
