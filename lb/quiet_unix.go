//go:build unix

package lb

import (
	"time"

	"golang.org/x/sys/unix"
)

// quiet says whether an idle connection is still open with nothing to read. It costs a system
// call, so only requests that may not be repeated ask for it.
func (c *upConn) quiet() bool {
	if c.tcp == nil {
		return false
	}
	// The last answer's deadline may have passed since, and would end the look before it begins.
	if c.tcp.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return false
	}
	var one [1]byte
	var got error
	err = raw.Read(func(fd uintptr) bool {
		_, _, got = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT) // #nosec G115 -- a descriptor
		return true
	})
	return err == nil && (got == unix.EAGAIN || got == unix.EINTR)
}
