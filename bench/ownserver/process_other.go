//go:build !linux

package ownserver

import "syscall"

// attributes: outside of Linux a program runs as whoever starts it.
func (*Owner) attributes(syscall.Signal) *syscall.SysProcAttr { return nil }
