//go:build !linux

package pgserver

import (
	"context"
	"errors"
)

var errLinuxOnly = errors.New("a server is made to vanish on Linux only")

// Pause is for Linux.
func (*Server) Pause() error { return errLinuxOnly }

// Resume has nothing to resume.
func (*Server) Resume() {}

// Kill is for Linux.
func (*Server) Kill() error { return errLinuxOnly }

// Restart is for Linux.
func (*Server) Restart(context.Context) error { return errLinuxOnly }
