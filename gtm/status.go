package gtm

import (
	"cmp"

	"switchpoint/gtm/nodes"
	"switchpoint/gtm/steer"
)

// Status is what a node holds of its names, of the other nodes and of what operators have said.
type Status struct {
	Mode     string             `json:"mode"`     // of operation
	Operator *steer.Operator    `json:"operator"` // that the names follow
	Nodes    []nodes.NodeStatus `json:"nodes"`    // this one first
	Names    []steer.NameStatus `json:"names"`    // none before the node has a configuration
}

// Status is that of now.
func (s *Server) Status() Status {
	out := Status{Operator: s.nodes.Operator(), Nodes: s.nodes.Show()}
	if now := s.standing.Load(); now != nil {
		out.Operator, out.Names = now.view.Operator(), now.view.Names()
	}
	out.Mode = cmp.Or(out.Operator.Mode, steer.ModePrimary)
	return out
}
