// Package choice decides which member of a pool gets the next request, and keeps what that is
// decided by: averages, requests in flight, failures.
//
//	states, loads, the client's member -> Pick -> member, by which rule
//	                                      1  who may serve at all     healthcheck.Serving
//	                                      2  the member of this client, where it may keep it
//	                                      3  the priority group       min_active
//	                                      4  not shunned, not full    panic_threshold
//	                                      5  one of these             the pool's method
//	request -> Stats: Begin, Answered | Unreachable | Punish, End -> Load, for the next question
//
// Everything but Stats is pure: same question, same answer. Stats is a handful of atomics for
// each member; readers take no lock. The balancer and the simulator in bench run the same code.
//
// Invariants: a member whose state forbids it is never picked, not by any method (HK4), except
// that a draining member keeps the clients that are bound to it. A decision allocates nothing.
package choice
