package pgserver

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
)

// ErrNotInstalled says that the programs of PostgreSQL are not on this machine.
var ErrNotInstalled = errors.New(`PostgreSQL is not installed here; on Debian: apt-get install postgresql (a cluster of its own is started, the system's is not touched)`)

// Program is the path of one of PostgreSQL's programs: Debian keeps what belongs to a server out of
// PATH, one folder for each version, and the newest counts.
func Program(name string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil {
		return "", err
	}
	newest, highest := "", -1.0
	for _, path := range found {
		version, err := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(path))), 64)
		if err == nil && version > highest {
			newest, highest = path, version
		}
	}
	if newest != "" {
		return newest, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s: %w", name, ErrNotInstalled)
}
