// Package nodes lets the balancers of one datacenter know what the others know, so that a client
// finds its member when a floating address moves from one to another (LB9): persistence entries, and
// what operators said of members.
//
//	Table --> Journal --> a batch every 250 ms --> Merge --> Table of the other node
//	   |                                             ^
//	   +-- all, after a start, a gap or on request --+
//	operators' words --> when they differ, both ways --> each keeps what is newer
//
// What a node does for each of the others (push only: everybody tells what it knows):
//
//	           all was told                        the journal has gone on without it,
//	unequal ----------------> following ----------------------------------------------> unequal
//	                              |        it has started anew, or asks for all            ^
//	                              +--------------------------------------------------------+
//
// A message names members by pool and address, since their ids are of one process, and says how long
// an entry has left, since clocks differ. Each answer says which start of the process gives it: a
// node that was restarted is told everything. Every second without a change there is an empty
// message, which also tells that both are in touch.
//
// Invariants:
//   - Nothing here is in the way of a request. What is noted for others is a bounded journal, the
//     same one for all of them: a node that is down costs nothing, and is told everything later.
//   - Entries that came from another node are not told on: all nodes know each other, and nothing
//     goes in circles. Only in a telling of all they are part of it.
//   - Taking the same message twice, or an old one late, does no harm (stick.Table.Merge).
//   - Only trusted peers that are named in [lb.nodes] are told anything, and believed.
//   - What operators have said is carried here, not read: which of two words holds is the
//     balancer's to say, and the same on all nodes.
//
// Failure rules: a node that cannot be reached is tried again every second; it is said once when it
// goes and once when it comes back. A malformed message changes nothing and its sender is told why.
// An entry whose pool or member this node does not have is left out; when a reload brings new
// members, everything is asked for again.
package nodes
