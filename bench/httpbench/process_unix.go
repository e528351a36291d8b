//go:build unix

package httpbench

import "syscall"

func signalGroup(leader int, s syscall.Signal) { _ = syscall.Kill(-leader, s) }
