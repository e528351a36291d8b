package choice

import "math"

// Hash gives a client always the same member, as long as that one serves, and each member its
// weight's share of the clients. It is rendezvous hashing with weights: every member draws a
// number from the client and its own key, the largest draw for its weight wins. A member that
// leaves hands its own clients to all the others by weight; nobody else moves, and when it comes
// back it gets the same clients (Thaler and Ravishankar 1998; Schindelhauer and Schomaker 2005).
func Hash(q *Question, among []int) int {
	best, highest := among[0], math.Inf(-1)
	for _, i := range among {
		// -w/ln(u) of a uniform u is larger than all the others' with probability w/sum(w).
		if score := -weightOf(q, i) / math.Log(uniform(mix(q.Hash^q.Keys[i]))); score > highest {
			best, highest = i, score
		}
	}
	return best
}

// uniform makes a number between 0 and 1, neither included.
func uniform(h uint64) float64 { return (float64(h>>12) + 0.5) / (1 << 52) }

// mix spreads every bit over all (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// HashKey is the key of a client or a member, from its name or address. It is the same on every
// node and after every start, so that all balancers of a datacenter agree (FNV-1a, then mix).
func HashKey(name []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, b := range name {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	return mix(h)
}
