package realserver

// server is what every real server of a test can be told to do.
type server struct {
	proc process
	// begin starts the process and waits until it answers.
	begin func() error
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
