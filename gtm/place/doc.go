// Package place finds where a client is: which datacenters it gets, in which order, and for how
// large a network that holds (GT4, GT12, GT13).
//
// What says so, the first that does:
//
//	client subnet of the query (ECS)    -> the merged table, by that network
//	domain of the client's computer     -> [[gtm.domain]], the longest suffix
//	address that asks, in the map       -> [[gtm.resolver]], the longest prefix
//	address that asks                   -> the merged table
//
// The merged table is made at Compile of three sources:
//
//	[[gtm.topology]]  AD sites & subnets      longest prefix wins; the same prefix: the rule
//	MaxMind database                          only where neither of them has a prefix
//	the node's own datacenter first           everywhere else
//
// It is kept as a list of spans of addresses, neighbours with the same order of datacenters
// merged. The largest network around a client within its span is the smallest prefix that the
// decision depended on: the true scope of RFC 7871, gaps between prefixes included. Disjoint
// prefixes in a trie would say the same and take some thirty leaves for each IPv6 prefix.
//
// Invariants:
//   - A Table never changes. WithSites makes a new one of the same rules and database, without
//     reading any file.
//   - Order has every datacenter once. Datacenters that nothing ranks follow in the order of the
//     configuration.
//   - Any two addresses inside one Scope get the same Order.
//   - IPv6 addresses that hold IPv4 ones are IPv4 as the address that asks, where sockets make
//     them, and IPv6 in a client subnet, whose family the resolver says itself.
//
// Failure rules: a database that is corrupt, too large or without what the rules ask for is a
// problem of Compile, at the value of the configuration. A site without a way to any datacenter
// counts as unknown.
package place
