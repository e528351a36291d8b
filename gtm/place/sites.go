package place

import (
	"fmt"
	"slices"
	"strings"

	"switchpoint/directory/sites"
)

// WithSites gives a table of the same configuration with these sites and subnets; nil: none. It
// reads nothing.
func (t *Table) WithSites(set *sites.Set) *Table {
	b := builder{table: t.base()}
	entries := t.rules
	if set != nil {
		entries = merge(t.rules, b.subnets(t.cfg, set))
	}
	b.compile(entries)
	return b.table
}

// subnets are the entries of all subnets, in the order of netip.Prefix.Compare.
func (b *builder) subnets(cfg Config, set *sites.Set) []entry {
	routes := set.Routes(cfg.owners(set))
	places := make(map[string]int32)
	_, n, _ := set.Len()
	out := make([]entry, 0, n)
	for s := range set.Subnets() {
		p, ok := places[s.Site]
		if !ok {
			p = b.place(cfg.siteInfo(s.Site, routes))
			places[s.Site] = p
		}
		out = append(out, entry{s.Prefix, p})
	}
	return out
}

// Owners says which datacenter, as an index into Config.Datacenters, stands in which site.
func (t *Table) Owners(set *sites.Set) map[string]int { return t.cfg.owners(set) }

// owners says which datacenter stands in which site: what the configuration lists, and where it
// says nothing of a site, the datacenter of the same name.
func (c Config) owners(set *sites.Set) map[string]int {
	out := make(map[string]int)
	listed := make(map[string]bool)
	for _, m := range c.Sites.Map {
		out[m.Site] = slices.Index(c.Datacenters, m.Datacenter)
		listed[strings.ToLower(m.Site)] = true
	}
	for s := range set.Sites() {
		if listed[strings.ToLower(s.Name)] {
			continue
		}
		if i := slices.IndexFunc(c.Datacenters, func(dc string) bool { return strings.EqualFold(dc, s.Name) }); i >= 0 {
			out[s.Name] = i
		}
	}
	return out
}

// MissingSites are the sites of [[gtm.sites.map]] that the directory does not have.
func (t *Table) MissingSites(set *sites.Set) []string {
	var out []string
	if set == nil {
		return nil
	}
	for _, m := range t.cfg.Sites.Map {
		if _, ok := set.Site(m.Site); !ok {
			out = append(out, m.Site)
		}
	}
	return out
}

// siteInfo is the place of a site: the datacenters that can be reached, the cheapest first.
func (c Config) siteInfo(site string, routes *sites.Routes) info {
	in := info{source: "AD site " + site}
	var first []int
	for _, step := range routes.Order(site) {
		if step.Reached {
			first = append(first, step.Owner)
			in.costs = append(in.costs, int(step.Cost))
		}
	}
	if len(first) == 0 {
		in.source = fmt.Sprintf("AD site %s, from which no site links lead to a datacenter%s", site, c.ownFirst())
		in.order = c.unknownOrder()
		return in
	}
	in.order = fullOrder(first, len(c.Datacenters))
	for len(in.costs) < len(in.order) {
		in.costs = append(in.costs, NoCost)
	}
	return in
}
