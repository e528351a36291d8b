package ownserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// someone is a user that every Debian system has.
const someone = "nobody"

func owner(t *testing.T) *Owner {
	t.Helper()
	o, err := OwnerNamed(someone)
	if err != nil {
		t.Fatal(err)
	}
	if (o == nil) != (os.Geteuid() != 0) {
		t.Fatalf("uid %d becomes %+v", os.Geteuid(), o)
	}
	return o
}

// TestRun: what root starts is not root, gets its input, and its error says what it said.
func TestRun(t *testing.T) {
	o := owner(t)
	uid, err := o.Run(t.Context(), nil, "id", "-u")
	if want := os.Geteuid() == 0; err != nil || (uid == "0") || (uid != strconv.Itoa(os.Geteuid())) != want {
		t.Errorf("uid %s, %v", uid, err)
	}
	if text, err := o.Run(t.Context(), strings.NewReader("said\n"), "cat"); err != nil || text != "said" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := o.Run(t.Context(), nil, "sh", "-c", "echo the disk is on fire >&2; exit 3"); err == nil || err.Error() != "sh: exit status 3: the disk is on fire" {
		t.Errorf("%v", err)
	}
}

// TestFiles: they are the owner's and nobody else may read them.
func TestFiles(t *testing.T) {
	o := owner(t)
	dir := filepath.Join(t.TempDir(), "server")
	file := filepath.Join(dir, "password")
	if err := o.Mkdir(dir); err != nil {
		t.Fatal(err)
	}
	if err := o.WriteFile(file, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, file: 0o600} {
		i, err := os.Stat(path)
		if err != nil || i.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, i, err)
		}
		uid := strconv.Itoa(int(i.Sys().(*syscall.Stat_t).Uid))
		if (uid == "0") != (o == nil && os.Geteuid() == 0) {
			t.Errorf("%s belongs to %s", path, uid)
		}
	}
}

// TestNoSuchUser: a package that is not installed is said so, and nothing runs as root in its place.
func TestNoSuchUser(t *testing.T) {
	want := "<nil>" // whoever is not root is the owner himself
	if os.Geteuid() == 0 {
		want = "the server does not run as root, and its user is not here: user: unknown user no-such-user"
	}
	if o, err := OwnerNamed("no-such-user"); o != nil || fmt.Sprint(err) != want {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestProcess: a server ends when it is told to, and is made to when it does not.
func TestProcess(t *testing.T) {
	o := owner(t)
	log := filepath.Join(t.TempDir(), "log")
	start := func(script string) *Process {
		t.Helper()
		p, err := o.Launch(syscall.SIGTERM, log, "sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if text, _ := os.ReadFile(log); strings.Contains(string(text), "ready "+strconv.Itoa(p.PID())) {
				return p
			}
			if time.Now().After(deadline) {
				t.Fatal("the server does not start")
			}
		}
	}
	p := start(`echo ready $$; exec sleep 600`)
	select {
	case <-p.Done():
		t.Error("it has ended by itself")
	default:
	}
	if err := p.Stop(10*time.Second, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	p = start(`trap '' TERM; echo ready $$; exec sleep 600`) // it stays deaf to it
	if err := p.Stop(100*time.Millisecond, syscall.SIGKILL); err == nil || err.Error() != "it did not stop within 100ms and was made to" {
		t.Errorf("%v", err)
	}
	<-p.Done()
	if _, err := o.Launch(syscall.SIGTERM, log, "/no/such/server"); err == nil {
		t.Error("a server that is not there was started")
	}
}
