package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	utmpPath = "/run/utmp"
	maxUtmp  = 1 << 20
)

// systemSessions asks systemd-logind, and where there is none reads the utmp file.
func systemSessions(ctx context.Context) ([]Session, error) {
	if _, err := os.Stat("/run/systemd/sessions"); err == nil {
		if path, err := exec.LookPath("loginctl"); err == nil {
			return logindSessions(ctx, path)
		}
	}
	f, err := os.Open(utmpPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxUtmp))
	if err != nil {
		return nil, err
	}
	return parseUtmp(text, utmpEntry(runtime.GOARCH), func(pid int) bool {
		return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}), nil
}

func logindSessions(ctx context.Context, loginctl string) ([]Session, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	list, err := exec.CommandContext(ctx, loginctl, "list-sessions", "--no-legend", "--no-pager").Output()
	if err != nil {
		return nil, err
	}
	args := []string{"show-session", "--no-pager", "-p", "Name", "-p", "State", "-p", "Class"}
	before := len(args)
	for line := range strings.Lines(string(list)) {
		if id, _, _ := strings.Cut(strings.TrimSpace(line), " "); id != "" {
			args = append(args, id)
		}
	}
	if len(args) == before {
		return nil, nil
	}
	shown, err := exec.CommandContext(ctx, loginctl, args...).Output()
	if err != nil && len(shown) == 0 { // one may have ended meanwhile: the others count
		return nil, err
	}
	return parseLogind(string(shown)), nil
}

// systemLoad is the load average of the last minute over the number of processors.
func systemLoad() func() float64 {
	return func() float64 {
		text, err := os.ReadFile("/proc/loadavg")
		if err != nil {
			return 0
		}
		first, _, _ := strings.Cut(string(text), " ")
		load, err := strconv.ParseFloat(first, 64)
		if err != nil {
			return 0
		}
		return load / float64(runtime.NumCPU())
	}
}

func systemUptime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	s, err := strconv.ParseFloat(first, 64)
	return time.Duration(s * float64(time.Second)), err
}
