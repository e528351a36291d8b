package healthcheck

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// execGrace is how long a probe waits for output that something keeps open after the program
// itself has ended or was killed.
const execGrace = 100 * time.Millisecond

func (m Monitor) validateExec(l *problem.List) {
	const cure = `write the program and its arguments, such as ["/usr/local/bin/check-desktop", "--quick"]`
	switch {
	case len(m.Command) == 0:
		l.Addf("command", cure, "there is no program to run")
	case !filepath.IsAbs(m.Command[0]):
		l.Addf("command", "write an absolute path", "%q would be looked for in the folder or PATH of the process", m.Command[0])
	}
	for i, arg := range m.Command {
		if strings.ContainsRune(arg, 0) {
			l.Addf("command["+strconv.Itoa(i)+"]", "remove the NUL byte", "no argument of a program can hold a NUL byte")
		}
	}
}

// newExec is kind "exec": run the program; exit status 0 means up. The program is told whom to
// look at in its environment, of which it inherits nothing; it runs in "/" without input, in a
// process group of its own, and all of that group is killed when the time is over.
func newExec(m Monitor) exchange {
	return func(ctx context.Context, address string, r *Result) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			r.down("the address is no host:port: " + deepest(err))
			return
		}
		var out clipped
		cmd := exec.CommandContext(ctx, m.Command[0], m.Command[1:]...) //nolint:gosec // G204: the operator's own words, and only with allow_exec
		cmd.Env = []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
			"SWITCHPOINT_ADDRESS=" + address, "SWITCHPOINT_HOST=" + host, "SWITCHPOINT_PORT=" + port, "SWITCHPOINT_MONITOR=" + m.Name,
		}
		cmd.Dir = "/"
		cmd.Stdout, cmd.Stderr = &out, &out // the same value for both: the library then writes one at a time
		cmd.WaitDelay = execGrace
		ownGroup(cmd)
		if err := cmd.Start(); err != nil {
			r.down("cannot run " + m.Command[0] + ": " + deepest(err))
			return
		}
		err = cmd.Wait()
		killGroup(cmd) // nothing that a probe started outlives it
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil // the program ended well; somebody whom it left behind held its output open
		}
		r.keep(out.b)
		r.judgeExit(ctx, err, out.line())
	}
}

// judgeExit makes the end of a program a result.
func (r *Result) judgeExit(ctx context.Context, err error, said string) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		r.State, r.Reason = Up, "exit status 0"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		r.TimedOut = true
		r.down("timed out, and the program was killed")
	case ctx.Err() != nil:
		r.down("the probe was cancelled, and the program was killed")
	case errors.As(err, &exit):
		r.down(exit.Error())
	default:
		r.down("running the program failed: " + deepest(err))
	}
	if said != "" {
		r.Reason += ": " + said
	}
}

// clipped keeps the beginning of what is written and lets the rest go, so that a program that
// says much neither fills memory nor blocks.
type clipped struct{ b []byte }

func (c *clipped) Write(p []byte) (int, error) {
	c.b = append(c.b, p[:min(len(p), firstBytes-len(c.b))]...)
	return len(p), nil
}

// line is the first line, quoted; empty when there is none.
func (c *clipped) line() string {
	text := strings.TrimSpace(string(c.b))
	if text == "" {
		return ""
	}
	first, _, _ := strings.Cut(text, "\n")
	return show([]byte(first))
}
