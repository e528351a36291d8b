package sites

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// stateFile is the last good copy, in the state directory.
const stateFile = "ad-sites.json"

// save replaces the copy in dir: after a crash it holds the old or the new one, whole.
func save(dir string, s *Set) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode %s: %w", stateFile, err)
	}
	// Always the same name, so that a crash leaves one such file at most, and an error is the same
	// each time. There is one writer.
	f, err := os.OpenFile(filepath.Join(dir, stateFile+".new"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", stateFile, err)
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, stateFile))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", stateFile, err)
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir survive a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// load reads the copy in dir; nil without an error when there is none. A file that cannot be used
// is set aside under the name that the error gives, so that nothing is lost and the next start is
// clean.
func load(dir string) (*Set, error) {
	path := filepath.Join(dir, stateFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", stateFile, err)
	}
	if info.Size() > maxBytes {
		return nil, setAside(path, fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxBytes))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", stateFile, err)
	}
	s := new(Set)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, setAside(path, err)
	}
	return s, nil
}

func setAside(path string, why error) error {
	aside := path + ".broken-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%s is not usable (%w) and cannot be set aside: %w", path, why, err)
	}
	return fmt.Errorf("%s is not usable and was set aside as %s: %w", path, aside, why)
}
