package realserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const (
	startDeadline = 60 * time.Second // generous: test machines are busy
	stopDeadline  = 20 * time.Second
	pollInterval  = 20 * time.Millisecond
	logTail       = 4096 // bytes of a server's log shown with a failure
)

// process is a server program that can be started again and again with the
// same command line. Its output goes to one log file.
type process struct {
	t       testing.TB
	name    string // for messages
	argv    []string
	owner   *owner         // nil = the user who runs the test
	host    *Host          // nil = where the test runs
	stopSig syscall.Signal // asks for an orderly end
	logFile string

	pid     int           // of the latest start
	done    chan struct{} // closed when that process is reaped; nil before the first start
	logFrom int64         // where in the log its output begins
}

// start spawns the process. It returns once the program runs, which does not
// mean that it serves.
func (p *process) start() error {
	if p.running() {
		return fmt.Errorf("%s is already running", p.name)
	}
	logFile, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", p.name, err)
	}
	defer logFile.Close() // the child holds its own copy
	if p.logFrom, err = logFile.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("find the end of the log of %s: %w", p.name, err)
	}
	argv, credential := p.argv, p.owner.credential()
	if p.host != nil {
		argv, credential = p.host.become(p.owner, p.argv), nil
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it ends with the test, not with a context
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Dir = filepath.Dir(p.logFile)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true, // a terminal's Ctrl-C is for the test, not for the server
		Pdeathsig:  syscall.SIGKILL,
		Credential: credential,
	}

	started, done := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread that forked ends, so this
		// goroutine keeps that thread to itself for the life of the server.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.pid, p.done = cmd.Process.Pid, done
	return nil
}

func (p *process) running() bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// waitReady asks ready again and again until it returns nil. A process that
// ends, or that is not ready in time, is an error.
func (p *process) waitReady(ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil && p.running() {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready", p.name)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v: %w", p.name, startDeadline, err)
		case <-tick.C:
		}
	}
}

// stop asks the process to end and waits for it; one that does not is killed
// and reported. Nothing happens when it is not running.
func (p *process) stop() error {
	if !p.running() {
		return nil
	}
	family := append(descendants(p.pid), p.pid)
	signalAll(family, syscall.SIGCONT) // a paused process cannot act on the next signal
	signalAll([]int{p.pid}, p.stopSig)
	timer := time.NewTimer(stopDeadline)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		p.kill()
		return fmt.Errorf("%s did not stop within %v and was killed", p.name, stopDeadline)
	}
}

// kill ends the whole family at once, as a crash of the machine would, and
// waits until it is gone.
func (p *process) kill() {
	if !p.running() {
		return
	}
	family := p.freeze()
	signalAll(append(family, p.pid), syscall.SIGKILL)
	<-p.done
	awaitEnd(family) // the next start would find their shared memory in use
}

// freeze stops the process and its descendants and returns the descendants.
// The parent goes first, so that none is born afterwards; two looks that agree
// catch those that were being born meanwhile.
func (p *process) freeze() []int {
	signalAll([]int{p.pid}, syscall.SIGSTOP)
	known := -1
	for {
		family := descendants(p.pid)
		if len(family) == known {
			return family
		}
		signalAll(family, syscall.SIGSTOP)
		known = len(family)
	}
}

func (p *process) resume() {
	signalAll(append(descendants(p.pid), p.pid), syscall.SIGCONT)
}

// fatal ends the test with err and the end of the server's log.
func (p *process) fatal(err error) {
	p.t.Helper()
	p.t.Logf("end of the log of %s:\n%s", p.name, p.tail())
	p.t.Fatal(err)
}

func (p *process) tail() []byte {
	data, err := os.ReadFile(p.logFile)
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(data[max(0, len(data)-logTail):])
}

// portTaken reports whether the latest start failed on an address in use.
func (p *process) portTaken() bool {
	data, err := os.ReadFile(p.logFile)
	if err != nil {
		return false
	}
	said := bytes.ToLower(data[min(p.logFrom, int64(len(data))):])
	return bytes.Contains(said, []byte("address already in use")) || bytes.Contains(said, []byte("address in use")) // named
}

func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // one that has ended meanwhile needs no signal
	}
}

// run executes a helper program of the server (initdb, slapadd, ...) as owner,
// with input on its standard input, and returns its standard output.
func run(ctx context.Context, o *owner, input []byte, argv ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Dir = "/" // the test's own folder may be closed to owner
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential()}
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out, fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return out, fmt.Errorf("%s: %w", filepath.Base(argv[0]), err)
	}
	return out, nil
}
