package realserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// owner is the user a server runs as. A nil owner is the user of the test.
type owner struct{ uid, gid uint32 }

// serverOwner returns the user called name when the test runs as root, and nil
// otherwise: only root can and needs to become somebody else.
func serverOwner(name string) (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("find the server's user: %w", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, fmt.Errorf("ids of user %s: %w", name, err)
	}
	return &owner{uid: uint32(uid), gid: uint32(gid)}, nil
}

func (o *owner) credential() *syscall.Credential {
	if o == nil {
		return nil
	}
	return &syscall.Credential{Uid: o.uid, Gid: o.gid, Groups: []uint32{o.gid}}
}

// own gives dir and all below it to o.
func (o *owner) own(dir string) error {
	if o == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(o.uid), int(o.gid)) //nolint:gosec // G122: nobody else writes below dir yet
	})
	if err != nil {
		return fmt.Errorf("give %s to the server's user: %w", dir, err)
	}
	return nil
}

// newRoot makes a directory for a server that is removed when the test ends.
// t.TempDir does not do: other users cannot enter it.
func newRoot(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "switchpoint-"+name+"-")
	if err != nil {
		t.Fatalf("make a directory for %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the directory of %s: %v", name, err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the server's own user must pass through
		t.Fatalf("open the directory of %s: %v", name, err)
	}
	return dir
}

// findProgram looks for a program in PATH and then in dirs, which may be
// patterns; of several matches it takes the last, the newest version.
func findProgram(t testing.TB, program string, dirs ...string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range dirs {
		matches, err := filepath.Glob(filepath.Join(dir, program))
		if err == nil && len(matches) > 0 {
			return matches[len(matches)-1]
		}
	}
	t.Fatalf("%s is not installed: run \"make deps\"", program)
	return ""
}

// Ports are taken from below the range that the kernel hands to outgoing
// connections (32768 and up by default), so that a stopped server's port is
// still free when it starts again.
const firstPort, lastPort = 20000, 32000

// startAttempts bounds how often a server is started on other ports because
// somebody took the first ones between the look and the start.
const startAttempts = 5

// freePort returns a port of 127.0.0.1 that nobody listens on right now.
func freePort() (int, error) {
	const looks = 100
	var err error
	for range looks {
		port := firstPort + rand.IntN(lastPort-firstPort)
		var l net.Listener
		l, err = new(net.ListenConfig).Listen(context.Background(), "tcp4", local(port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
