package logins

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttributes: its own group, so that Ctrl-C is for us, who then stop it; and it ends with us.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// raiseDescriptors makes the soft limit of open files the hard one, also for children, and returns it.
func raiseDescriptors() (uint64, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	return l.Max, unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
}

// latePort lets connect choose the port of a socket that is bound to an address: by then the kernel
// knows the other end, and looks for no port that nobody uses.
func latePort(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
