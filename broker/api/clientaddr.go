package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr is the address of the client (LG6): the last hop of X-Forwarded-For that is not a
// trusted proxy. The header counts only as far as trusted proxies vouch for it.
func (s *Server) clientAddr(r *http.Request) string {
	return forwarded(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), s.proxies)
}

// maxHops bounds how far back a header is read.
const maxHops = 32

func forwarded(remote string, header []string, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	client := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(header, ","), ",")
	slices.Reverse(hops)
	for _, hop := range hops[:min(len(hops), maxHops)] {
		if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(client) }) {
			break // this one nobody vouches for: what it claims about others does not count
		}
		next, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break
		}
		client = next
	}
	return client.String()
}

// parseHop reads one hop: an address, or an address with a port as some balancers write it.
func parseHop(hop string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(hop)
	if err != nil {
		p, err := netip.ParseAddrPort(hop)
		if err != nil {
			return netip.Addr{}, false
		}
		a = p.Addr()
	}
	return a.Unmap().WithZone(""), true
}
