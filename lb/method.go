package lb

import (
	"net"
	"net/netip"

	"switchpoint/lb/choice"
)

// fillMethod adds to a question whose loads are filled what only some methods want to know. It
// changes nothing.
func (lp *livePool) fillMethod(q *choice.Question, client netip.Addr) {
	switch lp.method {
	case choice.HashName:
		from := client.As16()
		q.Hash, q.Keys = choice.HashKey(from[:]), lp.keys
	case choice.FastestNodeName:
		lp.fillNodes(q)
	case choice.NetScalerName:
		q.Startup = lp.startup.Holds(q.Draw)
	}
}

// fillNodes adds what is in flight at each member's node; lp.nodes is empty for other methods.
func (lp *livePool) fillNodes(q *choice.Question) {
	for i, mates := range lp.nodes {
		n := int64(0)
		for _, u := range mates {
			n += u.InFlight()
		}
		q.Loads[i].NodeInFlight = n
	}
}

// joinNodes tells the pools that ask for it who shares a node: the members with the same host, of
// all pools, whatever their port (F5's node). The others pay nothing for it.
func joinNodes(pools []*livePool) {
	hosts := make(map[string][]*upstream)
	for _, lp := range pools {
		for _, u := range lp.ups {
			host := nodeOf(u.address)
			hosts[host] = append(hosts[host], u)
		}
	}
	for _, lp := range pools {
		if lp.method != choice.FastestNodeName {
			continue
		}
		for _, u := range lp.ups {
			lp.nodes = append(lp.nodes, hosts[nodeOf(u.address)])
		}
	}
}

// nodeOf is the host of a member's address, which passed validation.
func nodeOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	return host
}
