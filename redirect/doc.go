// Package redirect answers "whose home is this user's?": it reads the forwarding rules of one
// authentication server and decides where a login goes on (RD1 to RD9). It is pure: no sockets,
// no clock, no goroutines. Whether a destination is up, and whether a desktop is assigned to the
// user there, are inputs of the question; every answer carries the reasons that led to it.
//
// Review tells people what each rule comes to; it and Decide take the same one.
//
// The use is Config -> Validate -> Compile -> Table, then per login Needs (whom to ask about
// assigned desktops) and Decide:
//
//	q := redirect.Question{Attributes: entry.Attributes, Available: up}
//	q.Assigned = ask(redirect.Needs(table, q))
//	d := redirect.Decide(table, q)
//
// One matching rule is judged like this (first line that fits, top to bottom):
//
//	if_assigned_only  own cluster  visited  available  assigned | the rule
//	yes               -            -        -          no       | does not apply
//	yes               -            -        -          no answer| does not apply
//	-                 yes          -        -          -        | taken: log in here
//	-                 no           yes      -          -        | not possible, next rule
//	-                 no           no       no         -        | not possible, next rule
//	-                 no           no       yes        -        | taken: forward
//
// and when no rule was taken:
//
//	a rule was not possible | outcome
//	no                      | default: log-in-here, or reject
//	yes                     | home_unavailable: refuse (HomeUnavailable), or log-in-here
//
// Invariants: Decide never forwards to a destination that is unavailable, to a cluster already
// visited, or to the own cluster; a Table never changes after Compile and may be shared.
//
// Failure rules: bad rules are refused by ParseRules, Validate and Compile, each with its line
// and its cure; nothing that passed them can make Decide fail.
package redirect
