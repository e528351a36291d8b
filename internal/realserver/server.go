package realserver

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// server is what every real server of a test can be told to do.
type server struct {
	proc process
	// answers asks what only this server can answer. It is called until it returns nil.
	answers func(context.Context) error
	// stale is a file that would say, if it was left by a killed server, that this one is ready; empty
	// where there is none.
	stale string
}

// begin starts the process and waits until it answers.
func (s *server) begin() error {
	if s.stale != "" {
		if err := os.Remove(s.stale); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove old pid file: %w", err)
		}
	}
	if err := s.proc.start(); err != nil {
		return err
	}
	return s.proc.waitReady(s.answers)
}

// firstStart finds ports by trying: configure takes new ones, before each attempt.
func (s *server) firstStart(configure func() error) {
	s.proc.t.Helper()
	for attempt := 1; ; attempt++ {
		if err := configure(); err != nil {
			s.proc.t.Fatalf("configure %s: %v", s.proc.name, err)
		}
		err := s.begin()
		switch {
		case err == nil:
			return
		case attempt < startAttempts && s.proc.portTaken():
			s.proc.kill()
		default:
			s.proc.fatal(err)
		}
	}
}

// Start starts the server again on the same ports, with the data it had; after Kill it recovers
// as after a crash.
func (s *server) Start() {
	s.proc.t.Helper()
	if err := s.begin(); err != nil {
		s.proc.fatal(err)
	}
}

// Stop ends the server in an orderly way, open sessions included.
func (s *server) Stop() {
	s.proc.t.Helper()
	if err := s.proc.stop(); err != nil {
		s.proc.fatal(err)
	}
}

// Kill ends the server and all its processes with SIGKILL.
func (s *server) Kill() { s.proc.kill() }

// Pause stops the server and all its processes with SIGSTOP: the kernel still accepts
// connections, and nothing answers until Resume.
func (s *server) Pause() { s.proc.freeze() }

// Resume lets a paused server go on.
func (s *server) Resume() { s.proc.resume() }

// Log returns all that the server has logged, or why it cannot be read.
func (s *server) Log() string {
	data, err := os.ReadFile(s.proc.logFile)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
