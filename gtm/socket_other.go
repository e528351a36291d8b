//go:build !linux

package gtm

import "syscall"

// udpSocket sets nothing: only Linux serves DNS, the other systems run the agent.
func udpSocket(_, _ string, _ syscall.RawConn) error { return nil }
