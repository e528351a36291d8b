// Package simulate plays balancers in front of servers in virtual time, to compare rules for the
// choice of a server: ours, as lb runs them (package lb/choice), and the published ones.
//
//	clients (Poisson) -> balancer: its rule chooses -> delay -> server: FIFO queue, slots -> delay
//	                     balancer: told of every answer, failure and time-out
//
//	scenarios.go   what is played: written before any rule was tuned, and left as it is
//	rules*.go      the published rules;  rule_ours.go  lb/choice behind the same interface
//	world.go       the events;           server.go     one server
//	run.go         all seeds of all scenarios, on all cores;  report, text, plot
//
// Invariants:
//
//   - A game is a function of scenario, rule, seed, length and delay: same question, same figures,
//     however many run beside it.
//   - All rules of one seed see the same clients, the same work and the same trouble at the servers:
//     each kind of chance has a stream of random numbers of its own.
//   - A rule learns only what a balancer sees: its own requests. The one exception is C3, whose
//     servers report their queue and service time, as its authors have it.
//   - Failures do not count as fast answers: latency is that of the requests that were served, and
//     of those that timed out.
//
// Failure rules: a scenario or rule that does not exist is refused before anything runs; a run that
// is interrupted has no report.
package simulate
