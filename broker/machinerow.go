package broker

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// What the rows of all stores have alike.

// MachineColumns are the columns of a desktop's row d that Machine.Columns takes. One that an operator has
// put into maintenance still is what its center says.
const MachineColumns = `d.name, d.host, d.ip, d.os, d.ou, d.description, d.tags, d.port, d.protocol, d.mac,
	COALESCE(NULLIF(d.source_state, ''), d.state) = 'disabled'`

// Columns are where the values of MachineColumns go.
func (m *Machine) Columns() []any {
	return []any{&m.Name, &m.Host, &m.IP, &m.OS, &m.OU, &m.Description, (*TagColumn)(&m.Tags), &m.Port, &m.Protocol, &m.MAC, &m.Disabled}
}

// TagColumn is a list of tags out of one text column. No tag has a ";" (cleanTags).
type TagColumn []string

// Scan reads what TagText wrote.
func (c *TagColumn) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("tags are a %T, not text", src)
	}
	if *c = nil; text != "" {
		*c = strings.Split(text, ";")
	}
	return nil
}

// TagText is what the column of a list of tags holds.
func TagText(tags []string) string { return strings.Join(tags, ";") }

// BeatRow is a heartbeat of an agent as the statements of the stores read it.
type BeatRow struct {
	ID       string   `json:"id"` // of the desktop
	Hash     string   `json:"hash"`
	Address  string   `json:"address"`
	Version  string   `json:"version"`
	Load     float64  `json:"load"`
	Sessions string   `json:"sessions"`
	Count    int      `json:"n"`
	Users    []string `json:"users"`
	Done     string   `json:"done"`
}

// HashText is a key's hash as BeatRow has it.
func HashText(hash [32]byte) string { return hex.EncodeToString(hash[:]) }

// BeatRows are in the order of their ids, so that two batches do not wait for each other in a circle.
func BeatRows(beats []AgentBeat) ([]BeatRow, error) {
	out := make([]BeatRow, len(beats))
	for i, b := range beats {
		sessions, err := json.Marshal(b.Sessions)
		if err != nil {
			return nil, err
		}
		out[i] = BeatRow{b.Desktop, HashText(b.KeyHash), b.Address, b.Version, b.Load, string(sessions), len(b.Sessions), b.Users(), b.ResetDone}
	}
	slices.SortStableFunc(out, func(a, b BeatRow) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}
