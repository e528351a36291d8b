package logins

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of utime and stime in /proc/PID/stat: USER_HZ is 100 on every Linux that Go
// runs on.
const clockTick = 10 * time.Millisecond

const procDir = "/proc"

// stat is what the kernel says of a process.
type stat struct {
	parent int
	own    time.Duration // user and system
	reaped time.Duration // of its children that have ended
}

// parseStat reads /proc/PID/stat.
func parseStat(text string) (stat, error) {
	// The name may hold blanks and parentheses: fields count from behind the last one.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("it has %d fields", len(fields))
	}
	var n [15]int64
	for _, i := range []int{1, 11, 12, 13, 14} {
		v, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return stat{}, err
		}
		n[i] = v
	}
	return stat{parent: int(n[1]), own: time.Duration(n[11]+n[12]) * clockTick, reaped: time.Duration(n[13]+n[14]) * clockTick}, nil
}

func statOf(pid int) (stat, error) {
	text, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	s, err := parseStat(string(text))
	if err != nil {
		return stat{}, fmt.Errorf("%s/%d/stat: %w", procDir, pid, err)
	}
	return s, nil
}

// cpuOf is the time that a process and its children have used.
func cpuOf(pid int) (time.Duration, error) {
	s, err := statOf(pid)
	if err != nil {
		return 0, err
	}
	return s.own + s.reaped, nil
}

// cpuOfFamily adds what the children of a process use that live.
func cpuOfFamily(pid int) (time.Duration, error) {
	sum, err := cpuOf(pid)
	if err != nil {
		return 0, err
	}
	entries, err := os.ReadDir(procDir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := statOf(child); err == nil && s.parent == pid { // one that has just ended counts as reaped
			sum += s.own + s.reaped
		}
	}
	return sum, nil
}

// busy is how long the cores of the machine were busy since it started, with whatever.
func busy() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(procDir, "stat"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, errors.New("/proc/stat does not begin with the line of all cores")
	}
	var sum int64
	for i, f := range fields[1:9] { // user nice system idle iowait irq softirq steal
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		if i != 3 && i != 4 {
			sum += n
		}
	}
	return time.Duration(sum) * clockTick, nil
}
