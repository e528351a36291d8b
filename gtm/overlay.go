package gtm

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"switchpoint/healthcheck"
	"switchpoint/internal/problem"
)

// service is a compiled [[gtm.name.srv]].
type service struct {
	of     *steered
	byName bool   // one record that points at the steered name, instead of one per member
	port   uint16 // for byName
}

// overlay lays the steered names over the zones while a Table is compiled.
type overlay struct {
	table    *Table
	ref      func(healthcheck.Key) healthcheck.Ref
	problems problem.List
	hosts    []hostUse
	store    zoneStore
}

// hostUse is a member host to be looked at once all names are laid.
type hostUse struct {
	path string
	host wireName
	addr netip.Addr
	ttl  uint32
}

// name compiles one name and hangs it, and its services, into the zones.
func (o *overlay) name(path string, cfg Name) {
	s := &steered{
		display: dns.Fqdn(cfg.Name), ttl: uint32(cfg.TTL / time.Second), allDown: cfg.AllDown,
	}
	for j, p := range cfg.Pools {
		s.pools = append(s.pools, o.pool(fmt.Sprintf("%s.pool[%d]", path, j), cfg, p, s.ttl))
	}
	if n := o.node(path+".name", cfg.Name, typeA, typeAAAA); n != nil {
		n.steer = s
	}
	for j, srv := range cfg.SRV {
		if n := o.node(fmt.Sprintf("%s.srv[%d].name", path, j), srv.Name, typeSRV); n != nil {
			n.service = &service{of: s, byName: srv.Target == targetName, port: srv.Port}
		}
	}
}

func (o *overlay) pool(path string, cfg Name, p Pool, ttl uint32) pool {
	out := pool{datacenter: -1}
	for i, dc := range o.table.datacenters {
		if dc == p.Datacenter {
			out.datacenter = i
		}
	}
	for k, m := range p.Members {
		addr, err := memberAddr(m.Address)
		if err != nil {
			o.problems.Addf(fmt.Sprintf("%s.members[%d].address", path, k), "", "%q: %v", m.Address, err)
			continue
		}
		mem := member{addr: addr, port: m.Port, weight: m.Weight, ref: healthcheck.NoRef}
		if m.Host != "" {
			mem.host = dns.Fqdn(m.Host)
			if host, err := parseName(m.Host); err == nil {
				o.hosts = append(o.hosts, hostUse{fmt.Sprintf("%s.members[%d].host", path, k), host, addr, ttl})
			}
		}
		if cfg.Monitor != "" {
			mem.monitored, mem.ref = true, o.ref(m.check(cfg.Monitor))
		}
		out.members = append(out.members, mem)
	}
	return out
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
	for _, u := range o.hosts {
		o.host(u, given)
	}
	for i, z := range cfg.Zones {
		for j, ns := range z.NS {
			o.nameServer(fmt.Sprintf("zone[%d].ns[%d]", i, j), ns)
		}
	}
}

// host lets a member host in our zones answer with the member's address. Where the zone file
// has the host, its addresses must hold the member's: the SRV target and the steered address
// would lead to different machines otherwise.
func (o *overlay) host(u hostUse, given map[wireName]bool) {
	z := o.table.holder(u.host)
	if z == nil || z.elsewhere(u.host) {
		return
	}
	n := z.ensure(u.host, &o.store)
	switch {
	case n.get(typeCNAME) != nil:
		o.problems.Addf(u.path, "name the host that the alias points at",
			"%s is an alias in the zone %s; an SRV record may not point at one (RFC 2782)", u.host, z.origin)
		return
	case n.steer != nil:
		o.problems.Addf(u.path, "give the member a name of its own",
			"%s is a steered name itself, so an SRV record to it would be steered twice", u.host)
		return
	case hasAddress(n, u.addr):
		return
	case !given[u.host] && (n.get(typeA) != nil || n.get(typeAAAA) != nil):
		o.problems.Addf(u.path, "make the two agree, or give the member another host",
			"%s has other addresses in the zone %s than the member's %s", u.host, z.origin, u.addr)
		return
	}
	given[u.host] = true
	rr := addressRecord(u.host.String(), u.addr, u.ttl)
	oneTTL(n.get(rr.Header().Rrtype), rr)
	n.add(rr, &o.store)
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
