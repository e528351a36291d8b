package healthcheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"switchpoint/internal/keptfile"
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

// writeJSON replaces the file name in dir by v. e.store is held.
func writeJSON(dir, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return keptfile.Write(dir, name, append(b, '\n'))
}

// readJSON reads the file name in dir into v, which stays as it is when there is none. A file that
// cannot be used is set aside under the name that the error gives.
func readJSON(dir, name string, v any) error {
	return keptfile.Read(dir, name, maxStoreFile, func(b []byte) error {
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.DisallowUnknownFields()
		return dec.Decode(v)
	})
}
