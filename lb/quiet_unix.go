//go:build unix

package lb

import (
	"time"

	"golang.org/x/sys/unix"
)

// quiet says whether an idle connection is still open with nothing to read. What a member sends
// after an answer must not become the answer to the next request (RFC 9112 6.3), so every reuse
// begins with this system call. It does not allocate after a connection's first.
func (c *upConn) quiet() bool {
	if c.tcp == nil {
		return false
	}
	// The last answer's deadline may have passed since, and would end the look before it begins.
	if c.tcp.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	if c.rawConn == nil {
		raw, err := c.tcp.SyscallConn()
		if err != nil {
			return false
		}
		c.rawConn, c.look = raw, c.poll
	}
	return c.rawConn.Read(c.look) == nil && c.nothing
}

// poll asks the kernel whether there is a byte, an end or an error to read.
func (c *upConn) poll(fd uintptr) bool {
	c.asked[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} // #nosec G115 -- a descriptor
	n, err := unix.Poll(c.asked[:], 0)
	c.nothing = n == 0 && err == nil
	return true
}

// pollFds is what poll hands to the kernel.
type pollFds [1]unix.PollFd
