//go:build !linux

package ldapserver

import "syscall"

// attributes: outside of Linux a program runs as whoever starts it.
func (*owner) attributes(bool) *syscall.SysProcAttr { return nil }
