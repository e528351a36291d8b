package ownca

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Folder is an authority whose certificates lie in one folder.
type Folder struct {
	*Authority
	dir string
}

// NewFolder makes an authority as New does and writes its certificate to the folder.
func NewFolder(dir, name string, life time.Duration) (*Folder, error) {
	a, err := New(name, life)
	if err != nil {
		return nil, err
	}
	f := &Folder{Authority: a, dir: dir}
	if err := os.WriteFile(f.CAFile(), a.PEM(), 0o644); err != nil { //nolint:gosec // G306: servers of other users read it; it is public
		return nil, fmt.Errorf("keep the certificate authority: %w", err)
	}
	return f, nil
}

// CAFile has the authority's own certificate.
func (f *Folder) CAFile() string { return filepath.Join(f.dir, "ca.pem") }

// Files are those of the pair with that name.
func (f *Folder) Files(name string) (cert, key string) {
	return filepath.Join(f.dir, name+".pem"), filepath.Join(f.dir, name+".key")
}

// Issue writes a Pair to the Files of its name.
func (f *Folder) Issue(name string, hosts ...string) error {
	cert, key, err := f.Pair(name, hosts...)
	if err != nil {
		return err
	}
	certFile, keyFile := f.Files(name)
	err = errors.Join(os.WriteFile(certFile, cert, 0o644), os.WriteFile(keyFile, key, 0o600)) //nolint:gosec // G306: as above
	if err != nil {
		return fmt.Errorf("keep the certificate of %s: %w", name, err)
	}
	return nil
}
