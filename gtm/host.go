package gtm

import (
	"net/netip"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
)

// memberHost is a host of our zones at which several members are: an SRV record leads to all of its
// addresses, so the host answers only those of members that serve, as ADDITIONAL does.
//
//	members at the host    addresses answered
//	one serves or more     those of members that serve, and what else the zone file has
//	none serves            all: whoever asks wants to reach the machine, no SRV record names it now
//
// A host with the address of one member has nothing to choose, and stays plain zone data.
type memberHost struct {
	members []hostMember
}

// hostMember is a member at a host.
type hostMember struct {
	name, pool, member int // as steer counts them
	addr               netip.Addr
}

// several says whether the members have more than one address.
func (h *memberHost) several() bool {
	for _, m := range h.members {
		if m.addr != h.members[0].addr {
			return true
		}
	}
	return false
}

// serves says whether the member at an address serves for any name. known is false where no
// member has the address.
func (h *memberHost) serves(view *steer.View, addr netip.Addr) (serves, known bool) {
	for _, m := range h.members {
		if m.addr == addr {
			known = true
			serves = serves || view.Serves(m.name, m.pool, m.member)
		}
	}
	return serves, known
}

// narrow gives the records of a set that are answered now. They may be kept no longer than the
// answers of the names whose members are at the host.
func (h *memberHost) narrow(view *steer.View, rrs []dns.RR) []dns.RR {
	some, ttl := false, uint32(1<<31-1)
	for _, m := range h.members {
		some = some || view.Serves(m.name, m.pool, m.member)
		ttl = min(ttl, view.TTL(m.name))
	}
	out := make([]dns.RR, 0, len(rrs))
	for _, rr := range rrs {
		addr, _ := addressOf(rr)
		if serves, known := h.serves(view, addr); some && known && !serves {
			continue
		}
		if rr.Header().Ttl > ttl {
			rr = dns.Copy(rr)
			rr.Header().Ttl = ttl
		}
		out = append(out, rr)
	}
	return out
}

// records are those of a node, of one type, that are answered now.
func (r *resolution) records(n *node, typ uint16) []dns.RR {
	rrs := n.get(typ)
	if n.host == nil || len(rrs) == 0 || typ != typeA && typ != typeAAAA {
		return rrs
	}
	return n.host.narrow(r.view, rrs)
}
