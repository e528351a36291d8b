// Package steer decides which members of a steered name a client gets. It knows neither DNS
// messages nor sockets nor clocks.
//
// A decision is made in two steps, so that a query computes nothing about health:
//
//	health snapshot, operator's word, clock -> Direct -> View      when one of them changes
//	View, client -> Decide -> Decision (with its reason)           for each query
//
// Direct (direct.go) is the director: for each pool of each name it says who serves and whether
// the pool takes part in the choice. It is pure: what it must remember (since when a pool is
// back, what served last, how much is moved elsewhere) stands in the View before.
//
// Decide (decide.go) takes two steps, each with one file for each of its policies, which has the
// policy's truth table:
//
//	between_*.go    the order of the pools: topology and mode, failover, weighted, overload shifting
//	method_*.go     the order of the members of a pool: round-robin, weighted, failover, hash, least-load
//
// A, AAAA and SRV of one name are three readings of one Decision, so that they cannot disagree:
// the addresses are always among those of the best SRV priority (target.go). Chance comes with the
// client, as one draw; each use of it has bits of its own (draw.go). What a person reads of a
// decision (candidate.go, chance.go) is made only when somebody asks.
package steer
