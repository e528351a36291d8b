package place

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// Client is all that a place may depend on.
type Client struct {
	Address netip.Addr   // that asked
	Subnet  netip.Prefix // of a client subnet option that is to be used; invalid: there is none
	Domain  string       // of the client's computer, where it is known
}

// What said where a client is: values of Place.By.
const (
	BySubnet   = "subnet"   // the client subnet of the query
	ByDomain   = "domain"   // the domain of the client's computer
	ByResolver = "resolver" // the map of resolvers
	ByAddress  = "address"  // the address that asked
)

// NoCost stands in Place.Costs for a datacenter that no path of site links leads to.
const NoCost = -1

// Place is where a client is, and why.
type Place struct {
	// Order is every datacenter once, the nearest first, as indices into Config.Datacenters.
	Order []int
	// Scope is the network of the client for which all of this holds: the answer's scope. It is
	// longer than a client subnet that holds clients of several places, and then that of the
	// subnet's first addresses (RFC 7871 section 7.2.1); of length 0 for a subnet of length 0,
	// which asks for an answer that does not depend on the client. Invalid without an address.
	Scope netip.Prefix
	// Prefix is the configured prefix that holds the client, or the network of which the
	// database says the same; invalid when none does.
	Prefix netip.Prefix
	// Source is what said so, or why nothing did.
	Source string
	// By is which property of the client counted.
	By string
	// Costs are the costs of the datacenters in Order where sites say them; else nil.
	Costs []int
}

// Table finds places. It is immutable.
type Table struct {
	cfg   Config
	rules []entry // sorted, each prefix once
	geo   *geo

	places   []info
	fixed    int             // how many of places are not of sites
	entries  []entry         // rules and subnets, sorted, each prefix once
	why      [families]spans // indices into entries
	decision [families]spans // the orderID of places

	resolvers *bart.Table[int32] // indices into places
	domains   suffixes           // indices into places
	facts     []int32            // what geo.facts stand for, as indices into places
	trusted   *bart.Lite         // nil: all resolvers
}

// info is a place without what is the client's own.
type info struct {
	order   []int
	orderID int32
	source  string
	costs   []int
}

// unknown is the index in Table.places of clients of whom nothing is said.
const unknown = 0

// Find gives the client's place.
func (t *Table) Find(c Client) Place {
	addr := c.Address.Unmap().WithZone("")
	withheld := c.Subnet.IsValid() && c.Subnet.Bits() == 0
	if c.Subnet.IsValid() && !withheld {
		p := t.at(c.Subnet.Addr())
		p.By = BySubnet
		return p
	}
	p, ok := Place{}, false
	if !withheld {
		p, ok = t.byDomain(addr, c.Domain)
	}
	if !ok {
		p, ok = t.byResolver(addr)
	}
	if !ok {
		p = t.at(addr)
	}
	if withheld {
		p.Scope = c.Subnet.Masked()
	}
	return p
}

func (t *Table) byDomain(addr netip.Addr, name string) (Place, bool) {
	_, i, ok := t.domains.find(name)
	if !ok {
		return Place{}, false
	}
	p := t.place(i, netip.PrefixFrom(addr, addr.BitLen()))
	p.By = ByDomain
	return p, true
}

func (t *Table) byResolver(addr netip.Addr) (Place, bool) {
	host := netip.PrefixFrom(addr, addr.BitLen())
	prefix, i, ok := t.resolvers.LookupPrefixLPM(host)
	if !ok {
		return Place{}, false
	}
	p := t.place(i, host)
	p.Prefix, p.By = prefix, ByResolver
	return p, true
}

// at finds an address in the merged table.
func (t *Table) at(addr netip.Addr) Place {
	if !addr.IsValid() {
		return t.place(unknown, netip.Prefix{})
	}
	family, k := keyOf(addr)
	said := &t.why[family]
	if i := said.values[said.find(family, k)]; i != none {
		p := t.place(t.entries[i].place, t.scope(family, k, addr))
		p.Prefix = t.entries[i].prefix
		return p
	}
	if t.geo != nil {
		said = &t.geo.spans[family]
		i := said.find(family, k)
		if f := said.values[i]; f != none {
			p := t.place(t.facts[f], t.scope(family, k, addr))
			p.Prefix = network(addr, said.block(family, i, k))
			return p
		}
	}
	return t.place(unknown, t.scope(family, k, addr))
}

// scope is the largest network around an address with the same order of datacenters.
func (t *Table) scope(family int, k key, addr netip.Addr) netip.Prefix {
	s := &t.decision[family]
	return network(addr, s.block(family, s.find(family, k), k))
}

func (t *Table) place(i int32, scope netip.Prefix) Place {
	in := &t.places[i]
	return Place{Order: in.order, Scope: scope, Source: in.source, By: ByAddress, Costs: in.costs}
}

func network(addr netip.Addr, length int) netip.Prefix {
	p, _ := addr.Prefix(length) // fails for a length beyond the address, which no block has
	return p
}

// Honours says whether the client subnet that a resolver sends is to be used ([gtm.ecs]).
func (t *Table) Honours(resolver netip.Addr) bool {
	return !t.cfg.ECS.Off && (t.trusted == nil || t.trusted.Contains(resolver.Unmap().WithZone("")))
}

// WantsDomain says whether the domain of the computer at an address would count: there are
// domains, and the address is no resolver of the map, whose own name says nothing of its clients.
func (t *Table) WantsDomain(addr netip.Addr) bool {
	if len(t.domains) == 0 || !addr.IsValid() {
		return false
	}
	_, mapped := t.resolvers.Lookup(addr.Unmap().WithZone(""))
	return !mapped
}

// PickDomain chooses, of the names that one address has, the one with the longest suffix of a
// [[gtm.domain]]; where none has one, the first. The others may have been put there by anybody.
func (t *Table) PickDomain(names []string) string {
	best, length := "", -1
	for _, name := range names {
		suffix, _, _ := t.domains.find(name)
		if len(suffix) > length {
			best, length = name, len(suffix)
		}
	}
	return best
}

// Suffixes are those of all [[gtm.domain]], sorted.
func (t *Table) Suffixes() []string { return slices.Sorted(maps.Keys(t.domains)) }

// Reverse says how names of computers are found.
func (t *Table) Reverse() Reverse { return t.cfg.Reverse }

// fullOrder is first followed by the rest of 0..n-1.
func fullOrder(first []int, n int) []int {
	order := make([]int, 0, n)
	seen := make([]bool, n)
	for _, i := range first {
		if !seen[i] {
			seen[i] = true
			order = append(order, i)
		}
	}
	for i := range n {
		if !seen[i] {
			order = append(order, i)
		}
	}
	return order
}
