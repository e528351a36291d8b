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
// back, what served last, how much is moved elsewhere) stands in the View before, and Memory takes
// it over a restart (past.go, memory.go). Its steps, each in a file with its truth table:
//
//	safety.go, direct_words.go    operators' overrides, as far as the safety rules let them through
//	direct_health.go              what the members' states make of a pool
//	direct_limit.go               demotion limit, hold and failback delay
//	direct_rule.go                the verdict on each pool
//	direct_resort.go              last resorts, all-down policies
//	shed.go                       shifting of clients, by overload and mode
//	ttl.go                        how long the answer may be kept
//
// The way of a pool, which an operator's word or the mode of operation can take out at any point:
//
//	     ill, and took part             well         failback delay over, not held
//	in --------------------> gone ---------------> waiting ---------------> in
//	 |  demotion limit                 ^     ill     |
//	 +---------------> kept            +-------------+
//	      reached        |  slot free: gone;  well: in
//
// A pool that waits, is held, or is below its threshold comes in as a last resort when nothing else is
// in: while a member is up in any datacenter that people have not taken out, somebody is answered.
// Check (gate.go) is asked before what operators say is accepted.
//
// Decide (decide.go) takes two steps, each with one file for each of its policies, which has the
// policy's truth table:
//
//	between_*.go    the order of the pools: topology and mode, failover, weighted, shifting
//	method_*.go     the order of the members of a pool: round-robin, weighted, failover, hash, least-load
//
// Mode (DC7). Brokers of a cluster that work without their database (mode hostcache, leased,
// recovering) serve, and others serve better. What is done about it depends on who shares a
// database, which only people know:
//
//	members of one pool    those in mode normal serve first, while they can carry the work of all
//	                       (healthcheck.Serving), at once: all stay in the datacenter
//	pools of one name      nothing: each datacenter may be a cluster of its own and the home of its
//	                       users, whom another one would only send back
//	the same, with         the clients of a pool in which all say another mode go on to the next one,
//	prefer_normal          while any has members in mode normal and room, in the steps of overload
//	                       (shed.go): 5 % every 15 s
//
// So no mode that members report ever takes a pool out, no demotion, hold or failback delay begins with it,
// and a mode that lasts for less than 15 s moves nobody between datacenters.
//
// A, AAAA and SRV of one name are three readings of one Decision, so that they cannot disagree:
// the addresses are always among those of the best SRV priority (target.go). Chance comes with the
// client, as one draw; each use of it has bits of its own (draw.go). What a person reads of a
// decision (candidate.go, chance.go) is made only when somebody asks.
package steer
