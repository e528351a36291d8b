package main

import (
	"fmt"
	"io"
)

// sharedChange is what a node answers to an operator's word that all nodes are to have: gtmChange
// and lbChange as the command line reads them.
type sharedChange struct {
	Lines   []string `json:"lines"`
	Version uint64   `json:"version"` // of the document; 0 where there is none
	Node    string   `json:"node"`    // that was asked
	Acks    []struct {
		Node string `json:"node"`
		Has  bool   `json:"has"`
		Why  string `json:"why"` // it has not
	} `json:"acks"` // of the other nodes
}

// print tells what changed and which nodes have it: did is what the asked one did, meanwhile what
// those do that have it not yet.
func (c sharedChange) print(w io.Writer, did, meanwhile string) error {
	lines := c.Lines
	if c.Version > 0 {
		lines = append(lines, fmt.Sprintf("document version %d:", c.Version))
	}
	lines = append(lines, fmt.Sprintf("  + %s (%s)", c.Node, did))
	missing := 0
	for _, a := range c.Acks {
		line := fmt.Sprintf("  %s %s", sign(a.Has), a.Node)
		if !a.Has {
			missing++
			line += ": " + a.Why
		}
		lines = append(lines, line)
	}
	if missing > 0 {
		lines = append(lines, fmt.Sprintf("WARNING: %d of %d other nodes do not have it yet: %s", missing, len(c.Acks), meanwhile))
	}
	return printLines(w, lines)
}
