package covers

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strings"
)

//go:embed ids.txt
var idsFile []byte

// ID is one requirement: its id, a short title, and whether the build fails
// without a passing test for it.
type ID struct {
	ID       string
	Title    string
	Required bool
}

// LoadIDs returns all requirement ids in the order of ids.txt.
func LoadIDs() ([]ID, error) { return ParseIDs(idsFile) }

// ParseIDs reads a list of ids: one a line as "ID state title...", where state
// is "required" or "open". Empty lines and lines that begin with # are left
// out. Every malformed line is named in the error, not only the first.
func ParseIDs(text []byte) ([]ID, error) {
	var (
		ids  []ID
		errs []error
	)
	seen := make(map[string]bool)
	scan := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, err := parseIDLine(line)
		if err == nil && seen[id.ID] {
			err = fmt.Errorf("%s is listed twice", id.ID)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		seen[id.ID] = true
		ids = append(ids, id)
	}
	if err := scan.Err(); err != nil {
		errs = append(errs, fmt.Errorf("read ids: %w", err))
	}
	return ids, errors.Join(errs...)
}

func parseIDLine(line string) (ID, error) {
	fields := strings.Fields(line)
	const wanted = 3 // id, state, at least one word of title
	if len(fields) < wanted {
		return ID{}, fmt.Errorf("%q is not of the form: ID state title", line)
	}
	id := ID{ID: fields[0], Title: strings.Join(fields[2:], " ")}
	if !ValidID(id.ID) {
		return ID{}, fmt.Errorf("%q is not a requirement id", id.ID)
	}
	switch fields[1] {
	case "required":
		id.Required = true
	case "open":
	default:
		return ID{}, fmt.Errorf("%s: state is %q, want required or open", id.ID, fields[1])
	}
	return id, nil
}
