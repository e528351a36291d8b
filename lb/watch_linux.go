package lb

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// watchList is the clients whose requests wait for a member, to be asked for all at once whether
// they are still there. A client that has closed its sending side (POLLRDHUP) may have gone, or
// may wait for the answer, which RFC 9112 9.6 allows: nginx gives its request up, HAProxy only
// with option abortonclose. Here it is asked (exchange.nudgedHere). One whose connection is broken
// (POLLHUP, POLLERR) is given up.
//
// A request that waits less than a look's interval is mostly not seen here at all.
type watchList struct {
	conns []*clientConn
	due   []int64
	fds   []unix.PollFd
}

func (w *watchList) reset() { w.conns, w.due, w.fds = w.conns[:0], w.due[:0], w.fds[:0] }

// add takes a client on the list.
func (w *watchList) add(c *clientConn, due int64) {
	if c.fd == 0 {
		if c.fd = fdOf(c.sock); c.fd == 0 {
			return
		}
	}
	w.conns, w.due = append(w.conns, c), append(w.due, due)
	w.fds = append(w.fds, unix.PollFd{Fd: c.fd, Events: wanted(c)})
}

func wanted(c *clientConn) int16 {
	if c.ended {
		return 0
	}
	return unix.POLLRDHUP
}

// judge looks at all of the list and speaks to whoever left.
func (w *watchList) judge() {
	if len(w.fds) == 0 {
		return
	}
	if n, err := unix.Poll(w.fds, 0); n <= 0 || err != nil {
		return // the next look will do
	}
	for i, fd := range w.fds {
		if fd.Revents == 0 {
			continue
		}
		c := w.conns[i]
		// Its descriptor may be closed, and its number another connection's, since it was listed:
		// what counts is a look that the connection takes part in.
		switch events := look(c); {
		case events&(unix.POLLERR|unix.POLLHUP) != 0:
			c.speak(w.due[i], gone)
		case events&unix.POLLRDHUP != 0 && !c.ended:
			c.ended = c.speak(w.due[i], nudged)
		}
	}
}

// look asks for one client, whose descriptor cannot be closed meanwhile.
func look(c *clientConn) (events int16) {
	raw, err := c.sock.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		one := []unix.PollFd{{Fd: int32(fd), Events: wanted(c)}} // #nosec G115 -- a descriptor
		if n, err := unix.Poll(one, 0); n > 0 && err == nil {
			events = one[0].Revents
		}
	})
	if err != nil {
		return 0
	}
	return events
}

// fdOf gives the number of a connection's descriptor, 0 for none.
func fdOf(c syscall.Conn) (fd int32) {
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int32(n) }) // #nosec G115 -- a descriptor
	}
	if err != nil {
		return 0
	}
	return fd
}
