// Package choice decides which member of a pool gets the next request, and keeps what that is
// decided by: averages, requests in flight, failures.
//
//	states, loads, the client's member -> Pick -> member, by which rule
//	                                      1  who may serve at all     healthcheck.Serving, Serving
//	                                      2  the member of this client, where it may keep it
//	                                      3  not shunned, not full    panic_threshold
//	                                      4  the priority group       min_active
//	                                      5  one of these             the pool's method
//	request -> Stats: Begin, Answered | TimedOut | Unreachable | Punish, End -> Load, for the next question
//
// # Methods
//
//	least-response-time            lowest Cost: TTFB of the class x (1 + in flight / weight), dearer
//	                               for failures; what was slow and is unused is tried again
//	netscaler-least-response-time  lowest in flight x TTFB of 200s / weight, as the vendor has it,
//	                               start-up round robin (Startup) included
//	least-connections              fewest in flight / weight
//	fastest-node                   the same over all pools that a node serves, as F5 has it
//	round-robin                    in turns by weight
//	hash                           the same client, the same member
//
// # Mode
//
// The brokers of a pool share a database. One that works without it (mode hostcache, leased,
// recovering) serves as well, but what it does has to be merged later: it gets new clients only when
// no member in mode normal is up, or when these cannot carry all of it (DC7). They cannot when their
// own figures say so (healthcheck.Serving), when each of them is full, avoided, has failed for the
// request, or has as much in flight from here as it says it carries (while slow start holds: as its
// share of that), or when panic_threshold holds for them (Serving). Then all that are up are alike.
// Who says no mode serves with either. This comes before priority groups. It has no setting: it never
// takes away capacity, and whom it should not prefer an operator drains.
//
//	client               member that it had, up in another mode    goes to
//	new                  -                                         one in mode normal, if it can take it
//	source address       any                                       the same: nothing is lost
//	session, cookie      any                                       stays
//
// One that steps aside (503, mode draining or stopped) keeps no client while another member can serve
// it: it refuses what these do, for sessions too.
//
// Those that compare costs let equals take turns (turn). Slow start, and what a member's agent asks
// for ("75%"), are parts of the weight, so all of them honour both (weightOf).
//
// # What lies behind least-response-time
//
// Its figures were found with the simulator in bench (docs/lb-routing.md): with them its p99 is the
// best of all published rules, or within 5 % of it, in every scenario there. A change of one of
// them is to be played again: switchpoint simulate --gate.
//
//	averages   by time, so that busy and quiet members have an equally long memory, one sample
//	           being at least a twentieth; answers of 400 and above say nothing of speed
//	classes    requests of one kind are compared with their like; what is in flight of another
//	           class counts as the fourth root of how much slower that one is
//	failures   the part of the latest requests that failed, squared: one in ten makes a member
//	           five times as dear, nine in ten three hundred times; half is forgotten in 10 s
//	equals     within a tenth: averages of equal members differ by chance
//	unused     half of its slowness is forgotten in 3 s, or in 3 gaps between requests
//
// # Failure rules
//
// A figure that is not known (no sample yet) is taken from the other members, and from the member's
// own other classes; with no figure at all requests in flight decide, then turns. Connects that
// fail make a member shunned beside all that (1 s, 2 s ... 10 s).
//
// # Invariants
//
// Everything but Stats and Startup is pure: same question, same answer. Those two are a handful of
// atomics for each member and pool; readers take no lock. The balancer and the simulator in bench
// run the same code. A member whose state forbids it is never picked, not by any method (HK4),
// except that a draining member keeps the clients that are bound to it, and one that is overloaded,
// or up in another mode than normal, those with a Firm bond. One that is down or in maintenance
// keeps nobody, a full one gets nobody: a Firm client waits for it, a Loose one goes elsewhere. A
// decision allocates nothing.
package choice
