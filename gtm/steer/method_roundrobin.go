package steer

import (
	"net/netip"
	"slices"
)

// Method "round-robin": all members that serve, beginning with each of them equally often.
//
//	members that serve                    A and AAAA                             best SRV priority
//	not all overloaded                    all, in list order, beginning where    all
//	                                      the draw says
//	all overloaded, capacity known        all, drawn one after the other in      all
//	                                      proportion to what they have left
//	all overloaded, capacity not known    as if they were not                    all
//
// The beginning comes from the draw of each query and not from a counter: it is uniform over time
// and over clients, whoever asks how often and on whichever node. "answers" cuts the list off
// after so many. Each family is rotated by itself, or a member that has no address of the family
// would give its turn to the next in the list.

// rotates says whether the pool's addresses are rotated rather than ranked.
func (d *Decision) rotates(g group) bool {
	return d.name.Method == MethodRoundRobin && !(g.overloaded() && g.yardstick(MethodRoundRobin) == bySpare)
}

// rotate brings the set into the order that begins at the element that the draw chooses.
func rotate(set []netip.Addr, draw uint64) {
	if len(set) < 2 {
		return
	}
	first := int(draw % uint64(len(set)))
	slices.Reverse(set[:first])
	slices.Reverse(set[first:])
	slices.Reverse(set)
}
