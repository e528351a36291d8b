package choice

import (
	"maps"
	"slices"
)

// Policy chooses one of the members named in among, which is never empty. It may reorder and
// shorten among, which is scratch space from there on.
type Policy func(q *Question, among []int) int

// The methods' names in a configuration (LB2).
const (
	LeastResponseTimeName = "least-response-time"
	NetScalerName         = "netscaler-least-response-time"
	LeastConnectionsName  = "least-connections"
	FastestNodeName       = "fastest-node"
	RoundRobinName        = "round-robin"
	HashName              = "hash"
)

// methods are the methods by their configuration names (LB2). It is never written to.
var methods = map[string]Policy{
	LeastResponseTimeName: LeastResponseTime,
	NetScalerName:         NetScaler,
	LeastConnectionsName:  LeastConnections,
	FastestNodeName:       FastestNode,
	RoundRobinName:        RoundRobin,
	HashName:              Hash,
}

// Methods are the names of all methods, sorted.
func Methods() []string { return slices.Sorted(maps.Keys(methods)) }
