package httpbench

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
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// clockTick is the unit of utime and stime in /proc/PID/stat: USER_HZ is 100 on every Linux
	// that Go runs on.
	clockTick = 10 * time.Millisecond
	// stopGrace is how long a process may take to stop before it is killed.
	stopGrace = 3 * time.Second

	procDir = "/proc"
)

// process is a running program and its children, which share its process group.
type process struct {
	name  string
	log   string // file with its output; for a role of this package only with its errors
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader // standard output of a role
	done  chan struct{} // closed when it has ended
}

// launch starts argv on one core. With piped, its standard output is for line.
func launch(name, logFile string, core int, piped bool, env []string, argv ...string) (*process, error) {
	out, err := os.OpenFile(filepath.Clean(logFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	//nolint:gosec,noctx // G204: programs and arguments of this package; stop ends them
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = out
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
	} else {
		cmd.Stdout = out
	}
	if err := startPinned(cmd, core); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// line reads the next line that a role prints.
func (p *process) line() ([]byte, error) {
	line, err := p.lines.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		return nil, p.fault(errors.New("ended early"))
	}
	return line, err
}

// read decodes the next line that a role prints.
func (p *process) read(to any) error {
	line, err := p.line()
	if err != nil {
		return err
	}
	return json.Unmarshal(line, to)
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the whole group: politely, then not.
func (p *process) stop() {
	_ = p.stdin.Close()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
	}
	p.signal(syscall.SIGKILL) // children of one that went first, too
	<-p.done
}

func (p *process) signal(s syscall.Signal) {
	signalGroup(p.cmd.Process.Pid, s) // one that is gone needs no signal
}

// fault adds the end of the log to an error.
func (p *process) fault(err error) error {
	text, readErr := os.ReadFile(p.log)
	if readErr != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return fmt.Errorf("%s: %w; the end of its log:\n%s", p.name, err, bytes.Join(lines[max(0, len(lines)-5):], []byte("\n")))
}

// usage is what the kernel says of a process group.
type usage struct {
	user, system time.Duration
	resident     int64 // bytes
}

func (u usage) cpu() time.Duration { return u.user + u.system }

// usage sums up the process and its children.
func (p *process) usage() (usage, error) {
	var sum usage
	entries, err := os.ReadDir(procDir)
	if err != nil {
		return sum, err
	}
	found := false
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(procDir, e.Name(), "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		group, u, err := parseStat(string(stat))
		if err != nil {
			return sum, fmt.Errorf("/proc/%s/stat: %w", e.Name(), err)
		}
		if group == p.cmd.Process.Pid {
			found = true
			sum.user += u.user
			sum.system += u.system
			sum.resident += u.resident
		}
	}
	if !found || p.ended() {
		return sum, p.fault(errors.New("is not running"))
	}
	return sum, nil
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)).
func parseStat(stat string) (group int, u usage, err error) {
	// The name may hold blanks and parentheses: fields count from behind the last one.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return 0, u, fmt.Errorf("only %d fields", len(fields))
	}
	var n [4]int64
	for i, at := range []int{2, 11, 12, 21} {
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return 0, u, err
		}
	}
	u = usage{time.Duration(n[1]) * clockTick, time.Duration(n[2]) * clockTick, n[3] * int64(os.Getpagesize())}
	return int(n[0]), u, nil
}
