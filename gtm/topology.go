package gtm

import (
	"fmt"
	"net/netip"

	"github.com/gaissmai/bart"
)

// place is where a client is: the order in which it gets the datacenters, and why.
type place struct {
	prefix netip.Prefix // the matched one; the zero value when none matched
	source string       // what said so: "[[gtm.topology]]", or why there was no match
	order  []int        // every datacenter once, as an index into Table.datacenters
}

// topology finds the place of a client: the longest prefix that holds it wins (GT4). All
// sources of prefixes are merged into this one table when it is built.
type topology struct {
	prefixes bart.Table[place]
	unknown  place // for a client that no prefix holds
}

// newTopology builds the table. Datacenters that an entry does not list follow in the order of
// the configuration; a client without an entry gets own first (GT3), then that order.
func newTopology(entries []Topology, datacenters []string, own string) (*topology, error) {
	index := make(map[string]int, len(datacenters))
	for i, dc := range datacenters {
		index[dc] = i
	}
	t := &topology{unknown: place{source: "no prefix holds the client", order: fullOrder(nil, len(datacenters))}}
	if i, ok := index[own]; ok {
		t.unknown.source += fmt.Sprintf("; own datacenter %q first", own)
		t.unknown.order = fullOrder([]int{i}, len(datacenters))
	}
	for _, e := range entries {
		prefix, err := netip.ParsePrefix(e.Prefix)
		if err != nil {
			return nil, fmt.Errorf("topology prefix: %w", err)
		}
		first := make([]int, 0, len(e.Datacenters))
		for _, dc := range e.Datacenters {
			first = append(first, index[dc])
		}
		t.prefixes.Insert(prefix.Masked(), place{
			prefix: prefix.Masked(), source: "[[gtm.topology]]", order: fullOrder(first, len(datacenters)),
		})
	}
	return t, nil
}

// find gives the client's place. An IPv4 client on an IPv6 socket counts as IPv4.
func (t *topology) find(client netip.Addr) place {
	if p, ok := t.prefixes.Lookup(client.Unmap().WithZone("")); ok {
		return p
	}
	return t.unknown
}

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
