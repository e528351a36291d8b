package ldapserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
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

// owner is the user that the server runs as; nil is our own.
type owner struct{ uid, gid uint32 }

func serverOwner() (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("openldap")
	if err != nil {
		return nil, fmt.Errorf("slapd should not run as root, and its user is not here: %w", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, fmt.Errorf("ids of the user openldap: %w", err)
	}
	return &owner{uid: uint32(uid), gid: uint32(gid)}, nil
}

// own gives a file or folder to the owner.
func (o *owner) own(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, int(o.uid), int(o.gid))
}

// run executes a program as the owner, with input on its standard input.
func (o *owner) run(ctx context.Context, input io.Reader, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // G204: programs and arguments of this package
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Dir = "/"
	cmd.SysProcAttr = o.attributes(false)
	cmd.Stdin = input
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, bytes.TrimSpace(out))
	}
	return string(bytes.TrimSpace(out)), nil
}
