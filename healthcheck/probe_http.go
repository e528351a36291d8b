package healthcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// web is the part that http and https share: one raw HTTP/1 exchange and its verdict.
type web struct {
	send    request
	want    matcher
	off     matcher // receive_disable
	reverse bool
	status  []int
	okay    string     // what is good about a success
	usual   string     // reason of a success with the first status, made once
	scratch *sync.Pool // of *scratch
}

// scratch is the memory that one exchange needs and the next one can use again.
type scratch struct {
	br  *bufio.Reader
	res response
	out []byte
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
	off, err := newMatcher(m.ReceiveDisable)
	if err != nil {
		return nil, err
	}
	w := &web{send: send, want: want, off: off, reverse: m.Reverse, status: m.Status, okay: "any body"}
	switch {
	case m.Reverse:
		w.okay = "the body does not contain " + want.name
	case !want.any():
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
		w.ask(ctx, lineKey{address: address, proxy: m.SendProxy}, r, func(*lines) *wire { return d.dial(ctx, address, r) })
	}, nil
}

// ask makes the exchange on the connection that an earlier probe left open, or else on a new one
// from open. When the target closed the kept one meanwhile, as servers do, that says nothing:
// it is asked once more on a new one.
func (w *web) ask(ctx context.Context, k lineKey, r *Result, open func(*lines) *wire) {
	l := linesOf(ctx)
	if conn := l.take(k); conn != nil {
		end, _ := ctx.Deadline()
		conn.SetDeadline(end) // a broken connection says so in the exchange
		r.Kept, r.CertExpiry = true, conn.expiry
		keep, stale := w.exchange(ctx, conn, k.address, l.on(), r)
		switch {
		case !stale:
			l.kept.Add(1)
			l.done(k, conn, keep)
			return
		case ctx.Err() != nil:
			_ = conn.Close()
			return
		}
		_ = conn.Close()
		l.stale.Add(1)
		*r = Result{State: Down, Load: noLoad}
	}
	conn := open(l)
	if conn == nil {
		return
	}
	if l != nil {
		l.fresh.Add(1)
	}
	keep, _ := w.exchange(ctx, conn, k.address, l.on(), r)
	l.done(k, conn, keep)
}

// exchange sends the request, reads the answer and judges it. keep says that the connection can
// carry another exchange, stale that it ended before the target said anything on it.
func (w *web) exchange(ctx context.Context, conn *wire, address string, reuse bool, r *Result) (keep, stale bool) {
	s := w.scratch.Get().(*scratch)
	defer w.scratch.Put(s)
	s.br.Reset(conn.Conn)
	s.res = response{body: s.res.body[:0], length: -1}
	reuse = reuse && !w.send.single
	s.out = w.send.appendTo(s.out[:0], address, reuse)
	if _, err := conn.Write(s.out); err != nil {
		r.fail(ctx, inSend, err)
		return false, !timedOut(err)
	}
	sent := time.Now()
	if _, err := s.br.Peek(1); err != nil {
		r.fail(ctx, inFirstByte, err)
		return false, !timedOut(err)
	}
	r.TTFB = time.Since(sent)
	if err := s.res.readHead(s.br); err != nil {
		r.keep(s.res.body)
		r.fail(ctx, inHeader, err)
		return false, false
	}
	r.Status, r.Load = s.res.status, s.res.load
	w.decide(ctx, s, r)
	return reuse && s.clean(w.send.head), false
}

// clean says that the connection has nothing left of the answer and stays open.
func (s *scratch) clean(head bool) bool {
	res := &s.res
	if head || res.status == 204 || res.status == 304 {
		res.ended = true
	}
	if !res.ended && len(res.body) == 0 && !res.chunks && res.length >= 0 && res.length <= int64(s.br.Buffered()) {
		_, err := s.br.Discard(int(res.length)) // a body that decided nothing
		res.ended = err == nil
	}
	return res.ended && !res.close && !res.old && s.br.Buffered() == 0
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
	if w.want.any() && w.off.any() {
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
	switch {
	case !w.off.any() && w.off.in(s.res.body):
		r.State, r.Reason = Draining, strconv.Itoa(r.Status)+", the body contains "+w.off.name+" (receive_disable)"
	case w.reverse && w.want.in(s.res.body):
		r.down(strconv.Itoa(r.Status) + " but the body contains " + w.want.name + ", which must not be there")
	case w.reverse || w.want.in(s.res.body):
		w.up(r)
	default:
		w.wrongBody(s, r)
	}
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
