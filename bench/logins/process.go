package logins

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// stopGrace is how long a process may take to stop before it is killed.
const stopGrace = 8 * time.Second

// process is a child of this one: a node of the chain, or a client. It ends when its standard input does.
type process struct {
	name  string
	log   string // file with its output; of a client only with its errors
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader // standard output of a client
	done  chan struct{} // closed when it has ended
}

// launch starts argv. With piped, its standard output is for read. The kernel ends the child with the
// thread that has started it, which therefore belongs to the goroutine that waits for it.
func launch(name, logFile string, piped bool, env []string, argv ...string) (*process, error) {
	out, err := os.OpenFile(filepath.Clean(logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	//nolint:gosec,noctx // G204: our own binary with arguments of this package; stop ends it
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttributes()
	p := &process{name: name, log: logFile, cmd: cmd, done: make(chan struct{})}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if piped {
		// Not cmd.StdoutPipe: Wait would close that before its last line was read.
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer func() { _ = w.Close() }()
		cmd.Stdout, p.lines = w, bufio.NewReader(r)
	}
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
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// read decodes the next line that a client prints.
func (p *process) read(to any) error {
	line, err := p.lines.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		return p.fault(errors.New("ended early"))
	}
	if err != nil {
		return fmt.Errorf("read from %s: %w", p.name, err)
	}
	return json.Unmarshal(line, to)
}

// stop ends it: politely, then not.
func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that is gone needs no signal
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// fault adds the end of the log to an error.
func (p *process) fault(err error) error {
	text, readErr := os.ReadFile(p.log)
	if readErr != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return fmt.Errorf("%s: %w; the end of its log:\n%s", p.name, err, bytes.Join(lines[max(0, len(lines)-8):], []byte("\n")))
}
