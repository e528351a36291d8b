package ownserver

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

// Owner is the user that a server runs as; nil is our own.
type Owner struct{ uid, gid uint32 }

// OwnerNamed is the user with that name when root asks; everybody else runs servers as himself.
func OwnerNamed(name string) (*Owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("the server does not run as root, and its user is not here: %w", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, fmt.Errorf("ids of the user %s: %w", name, err)
	}
	return &Owner{uid: uint32(uid), gid: uint32(gid)}, nil
}

// Own gives a file or folder to the owner.
func (o *Owner) Own(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, int(o.uid), int(o.gid))
}

// Mkdir makes a folder that only the owner may enter.
func (o *Owner) Mkdir(path string) error {
	return errors.Join(os.Mkdir(path, 0o700), o.Own(path))
}

// WriteFile writes a file that only the owner may read.
func (o *Owner) WriteFile(path string, text []byte) error {
	return errors.Join(os.WriteFile(path, text, 0o600), o.Own(path))
}

// Run executes a program as the owner, with input on its standard input, and returns what it prints. An
// error has what it says of it.
func (o *Owner) Run(ctx context.Context, input io.Reader, argv ...string) (string, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // G204: programs and arguments of the benchmarks
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Dir = "/"
	cmd.SysProcAttr = o.attributes(0)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, bytes.TrimSpace(said.Bytes()))
	}
	return string(bytes.TrimSpace(out.Bytes())), nil
}
