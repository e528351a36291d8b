//go:build unix && !linux

package lb

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// readFd reads once. errno 0 with n 0 is the end.
func readFd(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		n, err := unix.Read(fd, p)
		errno, _ := err.(syscall.Errno) //nolint:errorlint // what the system call gives
		if errno != unix.EINTR {
			return n, errno
		}
	}
}

// writeFd writes once.
func writeFd(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		n, err := unix.Write(fd, p)
		errno, _ := err.(syscall.Errno) //nolint:errorlint // what the system call gives
		if errno != unix.EINTR {
			return n, errno
		}
	}
}
