package nodes

import (
	"fmt"
	"slices"

	"switchpoint/internal/problem"
)

// maxPeers bounds the other nodes.
const maxPeers = 16

// Config is [lb.nodes]. The zero Config is a node alone.
type Config struct {
	// Peers are the other lb nodes of this datacenter, by their [[peer.trust]] names, which are
	// their [node] names. The name of this node is passed over, so that all may share one list.
	Peers []string `toml:"peers"`
}

// Validate reports every problem of the section, with paths relative to it. Whether the peers are
// trusted is for the reader of the whole file to say.
func (c Config) Validate() error {
	var l problem.List
	if len(c.Peers) > maxPeers {
		l.Addf("peers", "use fewer", "there are %d nodes, at most %d are possible", len(c.Peers), maxPeers)
	}
	for i, name := range c.Peers {
		path := fmt.Sprintf("peers[%d]", i)
		switch {
		case name == "":
			l.Addf(path, "write the name of a [[peer.trust]]", "the name is empty")
		case slices.Index(c.Peers, name) < i:
			l.Addf(path, "remove one of them", "%q is listed twice", name)
		}
	}
	return l.Err()
}

// Others are the peers without this node.
func (c Config) Others(self string) []string {
	return slices.DeleteFunc(slices.Clone(c.Peers), func(name string) bool { return name == self })
}
