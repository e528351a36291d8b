package healthcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The files in the state directory.
const (
	overridesFile = "health-overrides.json"
	statesFile    = "health-states.json"
)

// maxStoreFile bounds what is read back: it is the size of some 400,000 checks.
const maxStoreFile = 128 << 20

type overridesOnDisk struct {
	Overrides overrides `json:"overrides"`
}

// statesOnDisk is what a restart may serve from until its first round is over.
type statesOnDisk struct {
	Saved  time.Time     `json:"saved"`
	Checks []stateOnDisk `json:"checks"`
}

type stateOnDisk struct {
	Address string    `json:"address"`
	Monitor string    `json:"monitor"`
	State   State     `json:"state"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
	At      time.Time `json:"at"`
	Held    bool      `json:"held,omitempty"`
}

// MarshalText writes the state as its word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a word that String gives.
func (s *State) UnmarshalText(text []byte) error {
	for known := range Maintenance + 1 {
		if known.String() == string(text) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("%q is no health state; write unknown, up, overloaded, down, draining or maintenance", cut(string(text)))
}

// writeJSON replaces the file name in dir by v: after a crash it holds the old or the new, whole.
func writeJSON(dir, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	f, err := os.CreateTemp(dir, name+".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", name, err)
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

// readJSON reads the file name in dir into v, which stays as it is when there is none. A file that cannot be
// used is set aside under the name that the error gives, so that nothing is lost and the next
// start is clean.
func readJSON(dir, name string, v any) error {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if info.Size() > maxStoreFile {
		return setAside(path, fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxStoreFile))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return setAside(path, err)
	}
	return nil
}

func setAside(path string, why error) error {
	aside := path + ".broken-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%s is not usable (%w) and cannot be set aside: %w", path, why, err)
	}
	return fmt.Errorf("%s is not usable and was set aside as %s: %w", path, aside, why)
}
