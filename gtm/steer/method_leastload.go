package steer

// Method "least-load": a draw in proportion to the capacity that members have left.
//
//	members that serve                                weight
//	all say what they have left, one has some         the capacity left; a member with nothing
//	                                                  left is answered after all others
//	all have nothing left                             the configured one
//	one does not say (they cannot be compared)        the configured one
//
// The rest is as with "weighted". It is a draw and not "the one with the most left", because an
// answer is kept for a TTL and by resolvers for a thousand clients: all that ask between two
// reports of the load would follow each other to the same member and overload it, then to the
// next. In proportion, each gets what it can take.

// draws says whether the method draws its units by weight.
func (d *Decision) draws(g group) bool {
	switch d.name.Method {
	case MethodWeighted, MethodLeastLoad:
		return true
	case MethodRoundRobin:
		return !d.rotates(g)
	}
	return false
}
