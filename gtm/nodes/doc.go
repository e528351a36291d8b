// Package nodes lets several GTM nodes act as one: they tell each other what they see and judge it
// by quorum, and they share one document of what operators have said (GT7).
//
//	own snapshot --observe--> own vote --------------------+
//	                             | report, every interval   |
//	                             v and when a state changes v
//	other nodes ---- reports --> inbox: their votes ----> agree ---> Status, for the director
//
//	operator --Change--> document: disk, then in force, then to all nodes (acknowledged)
//
// What a node knows of another one, and of itself:
//
//	           a report                  no report for 3 intervals
//	unheard ------------> in touch -----------------------------------> lost
//	                         ^                 a report                   |
//	                         +--------------------------------------------+
//
//	           2 rounds in which no anchor answers
//	sighted ----------------------------------------> blind
//	   ^                  any answers                    |
//	   +-------------------------------------------------+
//
// The rules: a check is down when k of the n nodes that are in touch, not blind and have a view
// of it say so; k is need, or n where that is less (agree). A node alone decides alone. A blind
// node goes by the others; blind and alone, it keeps what was agreed when an anchor last answered
// (freeze). What a node came to see as down while it did not reach its anchors counts only once
// its probes have had time to see better (doubtful). Overrides, maintenance windows and holds of
// the own health engine are this node's own word: nobody outvotes them, and they are no view that
// others are told of.
//
// Invariants:
//   - A view counts whole or not at all: of a report in several parts nothing counts before the
//     last is there, and a change counts only on top of what it was made from (take).
//   - Only checks that this node itself watches count, and only reports of members, by the name
//     that their key is trusted under.
//   - Fewer than k nodes never make a target down, and a blind one's view is in none of the k.
//   - A version of the operators' document is on disk before it is in force or acknowledged. The
//     higher version wins, then the greater node name, so that all nodes end with the same one,
//     whatever way it took (anti-entropy with every report).
//   - Ages, not moments, travel with views: clocks of nodes play no part in them. The times in the
//     operators' document are of the clock.
//
// Failure rules: a node that cannot be reached is told everything again when it can. A report or a
// document with a fault, or with a version that no operators can have reached (maxAhead), is refused
// whole, and its sender told why; it shows in Show. A document file with a fault is set aside and reported, and the document of the others is taken over. What
// operators said on the losing side of a partition is logged as a warning on the nodes that had it.
package nodes
