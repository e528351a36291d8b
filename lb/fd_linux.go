package lb

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These two never block (MSG_DONTWAIT), so the scheduler need not hear of them: it would be ready to
// take this thread's work away, at a cost that shows with six calls for each request. The descriptor
// is held open by the poller, which calls them (direct.step).

// readFd reads once. errno 0 with n 0 is the end.
func readFd(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		//nolint:gosec // G103: the call of the system
		got, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(got), errno
		}
	}
}

// writeFd writes once.
func writeFd(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		//nolint:gosec // G103: the call of the system
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(sent), errno
		}
	}
}
