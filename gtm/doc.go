// Package gtm answers which datacenter: it is an authoritative DNS server whose answers follow
// health and the client's place.
//
// A question takes this way:
//
//	packet -> parseQuery (wire.go, options.go) -> cookie (cookie.go) -> rate limit (rrl.go)
//	       -> Resolve (resolve.go) -> pack (message.go) -> packet
//	             |
//	          zone (zone.go) finds the node; a steered node asks
//	          place:               which datacenters, in which order, for this client
//	          steer:               which members, from the director's view of who may serve
//	          records (records.go): the decision as A, AAAA or SRV
//
// Invariants:
//   - Resolve is pure: (table, view, question) -> answer and reason. It has no clock, no
//     randomness (the question carries its draw) and no I/O. The server loads the table and its
//     view as one, so that one answer never mixes two moments.
//   - A, AAAA and SRV of one steered name come from one decision: the addresses that A and AAAA
//     answer are always among those of the best SRV priority, and a member host in our zones
//     answers no address of a member that does not serve beside one of a member that does.
//   - The reason of an answer holds facts; candidates, draws and text are made where somebody asks.
//   - place and steer are free of DNS library types: only zone.go, zonefile.go and what reads
//     master files (masterrecord.go, masterhead.go, rdata.go), overlay.go, host.go, records.go,
//     answer.go, resolve.go, explain.go, message.go, querylog.go and what asks other servers
//     (delegation*.go, reverse.go) know them.
//   - The scope of an answer (RFC 7871) is that of the longest decision in it; any two clients
//     inside it get the same candidates. Zone data and negative answers have scope 0. A client
//     subnet that is not to be used is not answered at all (ecs.go).
//   - The name of a client's computer (domains.go) is only looked up in memory while a query is
//     answered. Name servers are asked by workers, and what they say is compared with the
//     configured suffixes and used for nothing else.
//   - A zone file is read in bounded time and memory: its text, its records, $GENERATE and
//     $INCLUDE all have limits, and $INCLUDE stays in the folder of the file.
//   - A Table never changes. SetTable swaps it whole; a configuration that does not compile is
//     never swapped in.
//
// Failure rules:
//   - No table yet: SERVFAIL. A name outside of all zones: REFUSED. A packet that is no message:
//     FORMERR, or silence where an answer could start a loop (a response, less than a header).
//   - A network that asks too much over UDP without a valid cookie gets silence, and for every
//     slip-th query a short answer that leads a real client to TCP or to a cookie. Nobody is
//     turned away for the lack of a cookie before that.
//   - An answer that does not fit loses its courtesies in ADDITIONAL, then everything but OPT.
//   - All members of a name are down: what the name's all_down says, and the reason says so.
//   - A steered name lies over the zone file: records of the steered types at that name are
//     hidden by it. A CNAME or DNAME there, or a delegation above it, is refused by Compile.
//   - Every goroutine and connection is bounded: a fixed number of UDP readers, a cap on TCP
//     connections in all and per client, idle and write time-outs.
package gtm
