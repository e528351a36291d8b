package gtm

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// receiveBuffer holds what arrives while the readers are busy.
const receiveBuffer = 4 << 20

// udpSocket sets the options of a UDP socket before it is bound. Each one is a wish: without
// it the server works, only less well, so a refusal is no error.
func udpSocket(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// The FORCE form exceeds net.core.rmem_max and needs CAP_NET_ADMIN.
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
		// Forged "fragmentation needed" messages must not make answers fragment (RFC 9715).
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
	})
}
