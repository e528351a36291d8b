package ownserver

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// logTail is how much of a log an error has.
const logTail = 2000

// Process is a running server.
type Process struct {
	process *os.Process
	done    chan struct{}
	log     string
	ends    syscall.Signal
}

// Launch starts a server as the owner; what it says goes to the file log. The signal is what tells it to
// end, also when this process has ended without a Stop.
//
// The kernel ends it with the thread that has started it, which therefore belongs to the goroutine
// that waits for it.
func (o *Owner) Launch(ends syscall.Signal, log string, argv ...string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()        // the server has its own
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // G204: programs and arguments of the benchmarks; Stop ends it
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	cmd.SysProcAttr = o.attributes(ends)
	p := &Process{done: make(chan struct{}), log: log, ends: ends}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.process = cmd.Process
	return p, nil
}

// PID is the server's process.
func (p *Process) PID() int { return p.process.Pid }

// Done is closed when the server has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop tells the server to end and waits for it. After grace it sends the other signal, which no server
// outlives, and says so.
func (p *Process) Stop(grace time.Duration, after syscall.Signal) error {
	_ = p.process.Signal(p.ends) // one that has ended needs no signal
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		_ = p.process.Signal(after)
		<-p.done
		return fmt.Errorf("it did not stop within %s and was made to", grace)
	}
}

// LogEnd is the end of what the server has said.
func (p *Process) LogEnd() []byte {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(text[max(0, len(text)-logTail):])
}

// Settled gives a host:port a port that is free, for a server that cannot choose one itself.
func Settled(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("an address for the server: %w", err)
	}
	return l.Addr().String(), l.Close()
}
