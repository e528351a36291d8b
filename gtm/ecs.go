package gtm

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"switchpoint/gtm/place"
)

// What became of the client subnet of a query: values of the label ecs.
const (
	ecsNone     = "none"     // the query has none
	ecsUsed     = "used"     // the answer is for that network
	ecsWithheld = "withheld" // a prefix of length 0: the resolver must not tell its client's network
	ecsIgnored  = "ignored"  // the configuration does not trust the resolver, or nobody
)

// network reads the client subnet of a query, invalid where it has none. Family 0, which has room
// for no prefix, counts as one of length 0.
func (o options) network() netip.Prefix {
	if o.subnet == nil {
		return netip.Prefix{}
	}
	bits := int(o.subnet[2])
	if binary.BigEndian.Uint16(o.subnet) == 2 {
		var raw [16]byte
		copy(raw[:], o.subnet[4:])
		return netip.PrefixFrom(netip.AddrFrom16(raw), bits)
	}
	var raw [4]byte
	copy(raw[:], o.subnet[4:])
	return netip.PrefixFrom(netip.AddrFrom4(raw), bits)
}

// takeSubnet decides what becomes of the query's client subnet. One that is not to be used is
// passed over as an option that the server does not know, and not answered either: that is how a
// server says that its answer is not about that network (RFC 7871 section 7.2.1).
func (r *response) takeSubnet(t *Table, resolver netip.Addr) {
	r.subnet = r.options.network()
	switch {
	case !r.subnet.IsValid():
		r.ecs = ecsNone
	case t == nil || !t.places.Honours(resolver):
		r.subnet, r.ecs = netip.Prefix{}, ecsIgnored
	case r.subnet.Bits() == 0:
		r.ecs = ecsWithheld
	default:
		r.ecs = ecsUsed
	}
}

// scoped is the client subnet option of an answer: family, source prefix and address as the query
// had them, and the network that the answer is for (RFC 7871 section 7.2.1).
func (r *response) scoped(scope int) []byte {
	data := slices.Clone(r.options.subnet)
	if r.ecs == ecsUsed {
		data[3] = byte(scope)
	}
	return data
}

// Method hash keeps a network at its member: at least this much of it, as in what resolvers tell
// of their clients (RFC 7871 section 11.1).
const (
	hashBits4 = 24
	hashBits6 = 56
)

// hashed gives the network that method hash keeps together, and narrows the scope of a place to it:
// its neighbours may get another member.
func (q Question) hashed(p *place.Place) netip.Prefix {
	addr, bits := q.Client.Unmap().WithZone(""), hashBits4
	if p.By == place.BySubnet {
		addr = q.Subnet.Addr()
	}
	if addr.Is6() {
		bits = hashBits6
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return p.Scope // no address is known
	}
	if withheld := q.Subnet.IsValid() && q.Subnet.Bits() == 0; !withheld && p.Scope.Bits() < bits {
		p.Scope = network
	}
	return network
}
