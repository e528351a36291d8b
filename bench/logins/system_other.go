//go:build !linux

package logins

import (
	"errors"
	"syscall"
)

var errNeedsLinux = errors.New("this benchmark needs Linux: its clients have addresses of the loopback network, and it reads /proc")

func childAttributes() *syscall.SysProcAttr { return nil }

func raiseDescriptors() (uint64, error) { return 0, errNeedsLinux }

func latePort(_, _ string, _ syscall.RawConn) error { return nil }
