package logins

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Bounds of a CPU share, in microseconds. The shorter its period, the shorter a process stands still
// when its share is used up; the kernel gives out no less than a millisecond.
const (
	leastQuota  = 1000
	leastPeriod = 20_000
	mostPeriod  = 100_000
)

// turns are the period and the quota of a part of one core.
func turns(part float64) (period, quota string) {
	p := min(max(leastQuota/part, leastPeriod), mostPeriod)
	return strconv.Itoa(int(p)), strconv.Itoa(int(max(p*part, leastQuota)))
}

const cgroupRoot = "/sys/fs/cgroup"

// errNoShares says what is missing where processes cannot be held to a share.
var errNoShares = errors.New("processes cannot be held to a share of the CPU here: that needs root and a cgroup with the cpu controller, v1 at " +
	cgroupRoot + "/cpu or v2 at " + cgroupRoot)

// share is a cgroup that holds its processes to a part of one core.
type share struct{ dir string }

// newShare makes one; part is of one core, such as 0.05.
func newShare(name string, part float64) (*share, error) {
	period, quota := turns(part)
	var why []error
	for _, kind := range []struct {
		parent string
		files  map[string]string
	}{
		{filepath.Join(cgroupRoot, "cpu"), map[string]string{"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota}},
		{filepath.Join(cgroupRoot, "cpu,cpuacct"), map[string]string{"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota}},
		{cgroupRoot, map[string]string{"cpu.max": quota + " " + period}},
	} {
		s := &share{dir: filepath.Join(kind.parent, name)}
		err := s.make(kind.parent, kind.files)
		if err == nil {
			return s, nil
		}
		why = append(why, err)
	}
	return nil, fmt.Errorf("%w (%w)", errNoShares, errors.Join(why...))
}

func (s *share) make(parent string, files map[string]string) error {
	if _, v2 := files["cpu.max"]; v2 {
		text, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
		if err != nil {
			return err
		}
		if !strings.Contains(" "+strings.TrimSpace(string(text))+" ", " cpu ") {
			return fmt.Errorf("%s has no cpu controller", parent)
		}
		// Children have the controller only if their parent says so.
		if err := os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+cpu"), 0o600); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err != nil {
		return err // a folder of a file system that is no cgroup would take the files, too
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return errors.Join(err, s.remove())
		}
	}
	return nil
}

// hold puts a process with all its threads under the share.
func (s *share) hold(pid int) error {
	if err := os.WriteFile(filepath.Join(s.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
		return fmt.Errorf("hold process %d to its share: %w", pid, err)
	}
	return nil
}

// remove takes the cgroup away, once its processes have ended.
func (s *share) remove() error { return os.Remove(s.dir) }
