package sites

import (
	"encoding/json"
	"fmt"

	"switchpoint/internal/keptfile"
)

// stateFile is the last good copy, in the state directory.
const stateFile = "ad-sites.json"

// save replaces the copy in dir. There is one writer.
func save(dir string, s *Set) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode %s: %w", stateFile, err)
	}
	return keptfile.Write(dir, stateFile, append(b, '\n'))
}

// load reads the copy in dir; nil without an error when there is none. A file that cannot be used
// is set aside under the name that the error gives.
func load(dir string) (*Set, error) {
	var s *Set
	err := keptfile.Read(dir, stateFile, maxBytes, func(b []byte) error { return json.Unmarshal(b, &s) })
	if err != nil {
		return nil, err
	}
	return s, nil
}
