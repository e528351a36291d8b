package gtm

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
	"switchpoint/internal/problem"
)

// steered is a steered name as a node of a zone has it.
type steered struct {
	index   int    // in the configuration, as steer knows it
	display string // in lower case with the final dot
}

// service is a compiled [[gtm.name.srv]].
type service struct {
	of     *steered
	byName bool   // one record that points at the steered name, instead of one per member
	port   uint16 // for byName
}

// overlay lays the steered names over the zones while a Table is compiled.
type overlay struct {
	table    *Table
	problems problem.List
	hosts    []hostUse
	store    zoneStore
}

// hostUse is a member host to be looked at once all names are laid.
type hostUse struct {
	path string
	host wireName
	ttl  uint32
	hostMember
}

// name hangs the index-th name, and its services, into the zones.
func (o *overlay) name(path string, index int, cfg Name) {
	s := &steered{index: index, display: dns.CanonicalName(cfg.Name)}
	for j, p := range cfg.Pools {
		for k, m := range p.Members {
			o.member(fmt.Sprintf("%s.pool[%d].members[%d]", path, j, k), m, uint32(cfg.TTL/time.Second), hostMember{name: index, pool: j, member: k})
		}
	}
	if n := o.node(path+".name", cfg.Name, typeA, typeAAAA); n != nil {
		n.steer = s
	}
	for j, srv := range cfg.SRV {
		if n := o.node(fmt.Sprintf("%s.srv[%d].name", path, j), srv.Name, typeSRV); n != nil {
			n.service = &service{of: s, byName: srv.Target == steer.TargetName, port: srv.Port}
		}
	}
}

// member notes a member's host, to be looked at once all names are laid.
func (o *overlay) member(path string, m Member, ttl uint32, at hostMember) {
	var err error
	if at.addr, err = memberAddr(m.Address); err != nil {
		o.problems.Addf(path+".address", "", "%q: %v", m.Address, err)
		return
	}
	if m.Host == "" {
		return
	}
	if host, err := parseName(m.Host); err == nil {
		o.hosts = append(o.hosts, hostUse{path + ".host", host, ttl, at})
	}
}

// node gives the zone node for a steered owner and hides the types that are steered there.
func (o *overlay) node(path, owner string, hidden ...uint16) *node {
	name, err := parseName(owner)
	if err != nil {
		o.problems.Addf(path, "", "the name %q %v", owner, err)
		return nil
	}
	z := o.table.holder(name)
	if z == nil {
		o.problems.Addf(path, "", "%s lies in none of the zones", owner)
		return nil
	}
	if z.elsewhere(name) {
		o.problems.Addf(path, "remove the NS or DNAME record at or above it, or make it a [[gtm.zone]] of its own",
			"%s lies below a delegation or a DNAME of the zone %s", owner, z.origin)
		return nil
	}
	n := z.ensure(name, &o.store)
	for _, typ := range []uint16{typeCNAME, typeDNAME} {
		if n.get(typ) != nil {
			o.problems.Addf(path, "remove that record from the zone file",
				"%s has a %s record in the zone %s, which leaves no room for steered records", owner, dns.Type(typ), z.origin)
			return nil
		}
	}
	n.drop(hidden...)
	return n
}

// finish gives member hosts their addresses and checks what only the whole table shows.
func (o *overlay) finish(cfg Config) {
	given := map[wireName]bool{} // hosts that got their addresses here
	held := map[*node]*memberHost{}
	for _, u := range o.hosts {
		if n := o.host(u, given); n != nil {
			if held[n] == nil {
				held[n] = &memberHost{}
			}
			held[n].members = append(held[n].members, u.hostMember)
		}
	}
	for n, h := range held {
		if h.several() {
			n.host = h
		}
	}
	for i, z := range cfg.Zones {
		for j, ns := range z.NS {
			o.nameServer(fmt.Sprintf("zone[%d].ns[%d]", i, j), ns)
		}
	}
}

// host lets a member host in our zones answer with the member's address. Where the zone file
// has the host, its addresses must hold the member's: the SRV target and the steered address
// would lead to different machines otherwise. It returns the node of a host that is ours.
func (o *overlay) host(u hostUse, given map[wireName]bool) *node {
	z := o.table.holder(u.host)
	if z == nil || z.elsewhere(u.host) {
		return nil
	}
	n := z.ensure(u.host, &o.store)
	switch {
	case n.get(typeCNAME) != nil:
		o.problems.Addf(u.path, "name the host that the alias points at",
			"%s is an alias in the zone %s; an SRV record may not point at one (RFC 2782)", u.host, z.origin)
		return nil
	case n.steer != nil:
		o.problems.Addf(u.path, "give the member a name of its own",
			"%s is a steered name itself, so an SRV record to it would be steered twice", u.host)
		return nil
	case hasAddress(n, u.addr):
		return n
	case !given[u.host] && (n.get(typeA) != nil || n.get(typeAAAA) != nil):
		o.problems.Addf(u.path, "make the two agree, or give the member another host",
			"%s has other addresses in the zone %s than the member's %s", u.host, z.origin, u.addr)
		return nil
	}
	given[u.host] = true
	rr := addressRecord(u.host.String(), u.addr, u.ttl)
	oneTTL(n.get(rr.Header().Rrtype), rr)
	n.add(rr, &o.store)
	return n
}

func hasAddress(n *node, addr netip.Addr) bool {
	for _, rr := range append(append([]dns.RR(nil), n.get(typeA)...), n.get(typeAAAA)...) {
		if a, ok := addressOf(rr); ok && a == addr {
			return true
		}
	}
	return false
}

// nameServer checks that a name server inside our own zones has an address: nobody could reach
// the zone otherwise.
func (o *overlay) nameServer(path, ns string) {
	name, err := parseName(ns)
	if err != nil {
		return // Validate said so
	}
	z := o.table.holder(name)
	if z == nil || z.elsewhere(name) {
		return
	}
	_, n, _ := z.find(name, typeA)
	if n == nil || n.steer == nil && n.get(typeA) == nil && n.get(typeAAAA) == nil {
		o.problems.Addf(path, "use a host whose address another zone has, or give the zone a file with its address",
			"the name server %s lies in the zone %s, which has no address for it", strings.TrimSuffix(ns, "."), z.origin)
	}
}
