package httpbench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

const (
	// loopGrace is how long answers are waited for after the last request was due: a machine that
	// has other work for a while makes them late, not lost.
	loopGrace = 30 * time.Second
	// hdrMax is the largest latency that is told from a larger one.
	hdrMax = time.Minute
)

// loop sends requests at fixed times, whether earlier ones were answered or not, and measures each
// from the time it was due: a server that stalls does not get fewer requests for it. It is one
// thread around epoll, since timers and goroutines of the runtime are coarser than what is measured.
type loop struct {
	t       task
	request []byte
	conns   []*loopConn
	free    []*loopConn
	due     []time.Duration // requests that wait for a free connection
	hist    *hdrhistogram.Histogram
	result  loadResult
	busy    int
	epoll   int
	timer   int
}

type loopConn struct {
	n    int // place in loop.conns
	fd   int
	due  time.Duration // of the request under way
	buf  []byte
	got  int
	need int // bytes of the whole answer, 0 while its head is not complete
}

func openLoop(t task) (loadResult, error) {
	if t.Rate <= 0 || t.Conns <= 0 {
		return loadResult{}, errors.New("an open loop needs a rate and connections")
	}
	l := &loop{
		t:       t,
		request: []byte("GET " + t.Path + " HTTP/1.1\r\nHost: " + serverName + "\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"),
		hist:    hdrhistogram.New(1, hdrMax.Microseconds(), 3),
	}
	defer l.close()
	if err := l.open(); err != nil {
		return loadResult{}, err
	}
	if err := l.run(); err != nil {
		return loadResult{}, err
	}
	l.result.P50 = time.Duration(l.hist.ValueAtQuantile(50)) * time.Microsecond
	l.result.P99 = time.Duration(l.hist.ValueAtQuantile(99)) * time.Microsecond
	return l.result, nil
}

func (l *loop) open() (err error) {
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	if err := l.watch(l.timer, timerKey); err != nil {
		return err
	}
	for i := range l.t.Conns {
		c, err := dialLoop(l.t.Target, i)
		if err != nil {
			return err
		}
		l.conns = append(l.conns, c)
		l.free = append(l.free, c)
		if err := l.watch(c.fd, c.n); err != nil {
			return err
		}
	}
	return nil
}

// timerKey is what epoll calls the timer by; connections have their numbers.
const timerKey = -1

func (l *loop) watch(fd, key int) error {
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(key)})
	if err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

func dialLoop(target string, n int) (*loopConn, error) {
	addr, err := net.ResolveTCPAddr("tcp4", target)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	err = errors.Join(
		unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetNonblock(fd, true))
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	return &loopConn{n: n, fd: fd, due: idleConn, buf: make([]byte, 16<<10)}, nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		_ = unix.Close(c.fd)
	}
	_ = unix.Close(l.timer)
	_ = unix.Close(l.epoll)
}

func (l *loop) run() error {
	start := time.Now()
	interval := time.Duration(float64(time.Second) / l.t.Rate)
	events := make([]unix.EpollEvent, 128)
	for next := time.Duration(0); ; {
		now := time.Since(start)
		for ; next <= now && next < l.t.For; next += interval {
			l.due = append(l.due, next)
		}
		for len(l.due) > 0 && len(l.free) > 0 {
			if err := l.send(); err != nil {
				return err
			}
		}
		if next >= l.t.For && l.busy == 0 && len(l.due) == 0 {
			return nil
		}
		wake := next
		if next >= l.t.For {
			if wake = l.t.For + loopGrace; now > wake {
				l.fail(int64(l.busy+len(l.due)), "no answer")
				return nil
			}
		}
		if err := l.arm(max(wake-now, time.Microsecond)); err != nil {
			return err
		}
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		if err := l.receive(events[:max(n, 0)], start); err != nil {
			return err
		}
	}
}

// arm wakes the loop after d; setting a timer also takes back that it has fired.
func (l *loop) arm(d time.Duration) error {
	if err := unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	return nil
}

// send uses the connection that was used last, as clients with a pool do.
func (l *loop) send() error {
	c := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	c.due, c.got, c.need = l.due[0], 0, 0
	l.due = l.due[1:]
	l.result.Sent++
	l.busy++
	if n, err := unix.Write(c.fd, l.request); err != nil || n != len(l.request) {
		return l.replace(c, fmt.Errorf("write: %d bytes, %w", n, err))
	}
	return nil
}

func (l *loop) receive(events []unix.EpollEvent, start time.Time) error {
	for _, e := range events {
		if e.Fd == timerKey {
			continue
		}
		c := l.conns[e.Fd]
		done, err := c.read(l.t.Size)
		if err != nil {
			if err := l.replace(c, err); err != nil {
				return err
			}
			continue
		}
		if !done {
			continue
		}
		// A value beyond the histogram's range is a failure of its own.
		if l.hist.RecordValue((time.Since(start) - c.due).Microseconds()) != nil {
			l.fail(1, "an answer after more than "+hdrMax.String())
		}
		l.release(c)
	}
	return nil
}

func (l *loop) release(c *loopConn) {
	c.due = idleConn
	l.busy--
	l.free = append(l.free, c)
}

func (l *loop) fail(n int64, why string) {
	if n > 0 && l.result.Error == "" {
		l.result.Error = why
	}
	l.result.Failed += n
}

// replace opens the connection anew, and counts a failure if a request was under way.
func (l *loop) replace(c *loopConn, why error) error {
	if c.due != idleConn {
		l.fail(1, why.Error())
		l.release(c)
	}
	_ = unix.Close(c.fd)
	fresh, err := dialLoop(l.t.Target, c.n)
	if err != nil {
		return err
	}
	c.fd = fresh.fd
	return l.watch(c.fd, c.n)
}

// idleConn is the due time of a connection without a request.
const idleConn = -1

// read takes what has come and says whether the answer is complete.
func (c *loopConn) read(size int) (done bool, err error) {
	n, err := unix.Read(c.fd, c.buf[c.got:])
	if errors.Is(err, unix.EAGAIN) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read: %w", err)
	}
	if n == 0 {
		return false, errors.New("the server closed the connection")
	}
	if c.due == idleConn {
		return false, errors.New("an answer that nobody asked for")
	}
	c.got += n
	if c.need == 0 {
		head, length, err := answerLength(c.buf[:c.got])
		if head == 0 || err != nil {
			return false, err
		}
		if length != size {
			return false, fmt.Errorf("a body of %d bytes, want %d", length, size)
		}
		if c.need = head + length; c.need > len(c.buf) {
			return false, fmt.Errorf("an answer of %d bytes", c.need)
		}
	}
	if c.got > c.need {
		return false, errors.New("more than one answer to a request")
	}
	return c.got == c.need, nil
}

// answerLength reads the head of an answer: its length, 0 while it is not complete, and that of the
// body that follows.
func answerLength(b []byte) (head, body int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, 0, nil
	}
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 200 ")) {
		line, _, _ := bytes.Cut(b, []byte("\r\n"))
		return 0, 0, fmt.Errorf("answer %q", line)
	}
	for line := range bytes.SplitSeq(b[:end], []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte("Content-Length")) {
			continue
		}
		n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
		return end + 4, n, err
	}
	return 0, 0, errors.New("an answer without Content-Length")
}
