package steer

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// Method "hash": a client network keeps its member.
//
//	A and AAAA                          SRV
//	the "answers" (default 1) units     these at the best priority, then the others
//	with the best scores                one after the other by score
//
// The score of a unit comes from the unit, the client's network and the configured weight and
// from nothing else (rendezvous hashing, Thaler and Ravishankar 1998; with weights by Schindelhauer
// and Schomaker 2005): -ln(hash) / weight, the lowest wins. So all nodes agree without talking; when
// a member goes, its clients spread over the others by weight and nobody else moves; when it
// comes back it gets the same clients again. The load does not count, it would move clients.

// scores gives the units their scores for a client.
func (g group) scores(units []unit, c Client) {
	network := hashNetwork(c.Network)
	for i := range units {
		u := &units[i]
		// 1-portion is above zero, so that the logarithm is finite.
		u.score = -math.Log(1-portion(mix(g.pool.keys[u.id]^network))) / float64(u.weight)
	}
}

// hashNetwork makes a network a number. The invalid one is a network too: that of everybody.
func hashNetwork(p netip.Prefix) uint64 {
	if !p.IsValid() {
		return 0
	}
	raw := p.Masked().Addr().As16()
	h := mix(binary.BigEndian.Uint64(raw[:8]) + golden)
	h = mix(h + binary.BigEndian.Uint64(raw[8:]))
	return mix(h + uint64(p.Bits()))
}

// lowest puts the step-th best unit into its place.
func lowest(units []unit, step int) {
	best := step
	for i := step + 1; i < len(units); i++ {
		if units[i].score < units[best].score {
			best = i
		}
	}
	units[step], units[best] = units[best], units[step]
}

// Hashes says whether a name keeps a client's network at its member. Client.Network must then
// be one that a site is likely to have to itself: at least an IPv4 /24 or an IPv6 /56.
func (t *Table) Hashes(i int) bool { return t.names[i].Method == MethodHash }
