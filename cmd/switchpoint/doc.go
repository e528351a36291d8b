// Command switchpoint is the whole product in one binary: global DNS, L7 balancer and connection
// broker over one shared truth about health.
//
// main.go turns signals into a context, root.go lists the subcommands, each cmd_*.go is one of
// them, app.go wires the roles of a process in one straight line, demo_*.go is the embedded demo.
//
// Lifecycle of `run`:
//
//	load and validate -> bind every socket -> first health round -> serve -> (SIGHUP: reload) ->
//	SIGTERM: /readyz says no -> front (gtm, lb, broker API) drains -> back (broker, peer, health, admin) stops
//
// Invariants: lb and gtm serve only after the first probe of each target that they decide on, or
// the deadline for it, and /readyz says yes only after that of all of them; a reload compiles everything that can fail before anything is swapped, so a failed one
// changes nothing and says so.
package main
