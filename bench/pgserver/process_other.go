//go:build !linux

package pgserver

import "syscall"

// attributes: outside of Linux a program runs as whoever starts it.
func (*owner) attributes(bool) *syscall.SysProcAttr { return nil }
