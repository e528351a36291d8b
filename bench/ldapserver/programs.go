package ldapserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNotInstalled says that the programs of OpenLDAP are not on this machine.
var ErrNotInstalled = errors.New("OpenLDAP's server is not installed here; on Debian: apt-get install slapd (a server of its own is started, the system's is not touched)")

// program is the path of one of OpenLDAP's programs, which are seldom in the PATH of a user.
func program(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/usr/local/libexec", "/usr/libexec", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s: %w", name, ErrNotInstalled)
}

// folder returns the first folder, of patterns, that holds file; "" where there is none.
func folder(file string, patterns ...string) string {
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(pattern, file))
		if err == nil && len(found) > 0 {
			return filepath.Dir(found[0])
		}
	}
	return ""
}
