package nodes

import (
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

// NodeStatus is what is known of a node.
type NodeStatus struct {
	Name string `json:"name"`
	Self bool   `json:"self,omitempty"`
	// Live says whether it is in touch: whether its view counts, unless it is blind.
	Live  bool      `json:"live"`
	Heard time.Time `json:"heard,omitzero"` // when it last reported; zero for this node, or never
	Blind bool      `json:"blind,omitempty"`
	// Document is the version of the operators' document that it has, Newest whether no node is
	// known to have a newer one.
	Document steer.Stamp `json:"document"`
	Newest   bool        `json:"newest"`
	// Checks is how many of this node's checks it sees, Differ how many of those in another state
	// than this node does.
	Checks int `json:"checks"`
	Differ int `json:"differ"`
	// Trouble is why reports of this node do not reach it.
	Trouble string `json:"trouble,omitempty"`
}

// Show tells of all nodes, this one first.
func (n *Nodes) Show() []NodeStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.mine.update(n.watch, n.sight, n.o.Snapshot())
	self := NodeStatus{Name: n.o.Name, Self: true, Live: true, Blind: n.sight.blind(), Document: n.Operator().Stamp()}
	for i := range n.mine.votes {
		if n.mine.votes[i].state != healthcheck.Unknown {
			self.Checks++
		}
	}
	out := []NodeStatus{self}
	newest := self.Document
	for _, m := range n.members {
		s := NodeStatus{
			Name: m.name, Live: m.live(now, n.config.Interval), Heard: m.heard, Blind: m.blind,
			Document: m.version(), Trouble: m.trouble,
		}
		for i := range m.votes {
			theirs, ours := m.votes[i].state, n.mine.votes[i].state
			if theirs == healthcheck.Unknown {
				continue
			}
			s.Checks++
			if ours != healthcheck.Unknown && ours != theirs {
				s.Differ++
			}
		}
		if s.Document.Newer(newest) {
			newest = s.Document
		}
		out = append(out, s)
	}
	for i := range out {
		out[i].Newest = out[i].Document == newest
	}
	return out
}

// version is that of the document that the node is known to have. Documents only get newer.
func (m *member) version() steer.Stamp {
	if m.document.Newer(m.told) {
		return m.document
	}
	return m.told
}
