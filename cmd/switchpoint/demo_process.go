package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// stopGrace is how long a process may drain before it is killed.
const stopGrace = 12 * time.Second

// process is one role of the demo as a child process. It runs until its standard input ends,
// so that none outlives the demo, however the demo ends.
type process struct {
	name   string
	config string // its TOML file; empty for the directory
	socket string // its admin socket; empty for the directory
	log    string

	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{} // closed when it has ended
	err   error         // why, valid after done
}

// launch starts the process with its output in its log file.
func (p *process) launch(args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the own binary: %w", err)
	}
	//nolint:gosec,noctx // it runs itself, with arguments of the demo; stop and kill end it
	return p.launchAs(exec.Command(self, args...))
}

// launchAs is launch with a command that is ready to start.
func (p *process) launchAs(cmd *exec.Cmd) error {
	if err := os.MkdirAll(filepath.Dir(p.log), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	// Its own group: Ctrl-C is for the demo, which then stops its children in order.
	cmd.SysProcAttr = ownGroup()
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return nil
}

// kill ends the process as a crash would.
func (p *process) kill() {
	if p.running() {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// stop lets the process drain, and kills it when it takes too long.
func (p *process) stop() {
	if !p.running() {
		return
	}
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.kill()
	}
}

func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// died says how the process ended, with the end of its log.
func (p *process) died() error {
	text, err := os.ReadFile(p.log)
	if err != nil {
		text = []byte(err.Error())
	}
	const tail = 2000
	if len(text) > tail {
		text = text[len(text)-tail:]
	}
	how := p.err
	if how == nil {
		how = errors.New("exit status 0")
	}
	return fmt.Errorf("%s ended (%w); the end of %s:\n%s", p.name, how, p.log, text)
}
