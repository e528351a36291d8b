package sites

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Changes is what lies between two sets, for a person who is to approve it.
type Changes struct {
	Added, Removed []Subnet
	Moved          []Move
	// Shifted counts, by site, the subnets that stay where they are but whose site now gets the
	// other sites in another order, because links, bridges or their costs changed.
	Shifted map[string]int
	// Other says in words what changed in sites, links and bridges, a line each.
	Other []string
}

// Move is a subnet that goes from one site to another.
type Move struct {
	Prefix   netip.Prefix
	From, To string
}

// maxOrdered is up to how many sites Diff compares the orders of all sites, which takes the square
// of their number. Beyond it, any change of links counts every subnet as shifted.
const maxOrdered = 500

// Diff compares two sets; of the first import old is nil. Locations and problems are not compared:
// no decision hangs on them.
func Diff(old, next *Set) Changes {
	if old == nil {
		old = indexed(contents{Transitive: next.c.Transitive})
	}
	var c Changes
	c.subnets(old, next)
	c.sites(old, next)
	before := len(c.Other)
	c.links(old, next)
	if len(c.Other) > before {
		c.shifted(old, next)
	}
	return c
}

// Count is the number of subnets whose clients may get another answer: added, removed, moved and
// shifted.
func (c Changes) Count() int {
	n := len(c.Added) + len(c.Removed) + len(c.Moved)
	for _, shifted := range c.Shifted {
		n += shifted
	}
	return n
}

// Empty says that nothing changed at all.
func (c Changes) Empty() bool { return c.Count() == 0 && len(c.Other) == 0 }

// Lines says everything in words.
func (c Changes) Lines() []string {
	var lines []string
	for _, s := range c.Added {
		lines = append(lines, fmt.Sprintf("subnet %s added to site %s", s.Prefix, s.Site))
	}
	for _, s := range c.Removed {
		lines = append(lines, fmt.Sprintf("subnet %s removed from site %s", s.Prefix, s.Site))
	}
	for _, m := range c.Moved {
		lines = append(lines, fmt.Sprintf("subnet %s moved from site %s to site %s", m.Prefix, m.From, m.To))
	}
	lines = append(lines, c.Other...)
	for _, site := range slices.SortedFunc(maps.Keys(c.Shifted), compareNames) {
		lines = append(lines, fmt.Sprintf("site %s gets the other sites in another order: %d subnets", site, c.Shifted[site]))
	}
	return lines
}

func (c *Changes) otherf(format string, args ...any) {
	c.Other = append(c.Other, fmt.Sprintf(format, args...))
}

func (c *Changes) subnets(old, next *Set) {
	was := make(map[netip.Prefix]Subnet, len(old.c.Subnets))
	for _, s := range old.c.Subnets {
		was[s.Prefix] = s
	}
	for _, s := range next.c.Subnets {
		before, ok := was[s.Prefix]
		delete(was, s.Prefix)
		switch {
		case !ok:
			c.Added = append(c.Added, s)
		case fold(before.Site) != fold(s.Site):
			c.Moved = append(c.Moved, Move{Prefix: s.Prefix, From: before.Site, To: s.Site})
		}
	}
	c.Removed = slices.SortedFunc(maps.Values(was), func(a, b Subnet) int { return a.Prefix.Compare(b.Prefix) })
}

func (c *Changes) sites(old, next *Set) {
	for _, s := range next.c.Sites {
		before, ok := old.Site(s.Name)
		switch {
		case !ok:
			c.otherf("site %s added", s.Name)
		case before.Name != s.Name:
			c.otherf("site %s is now written %s", before.Name, s.Name)
		}
	}
	for _, s := range old.c.Sites {
		if _, ok := next.Site(s.Name); !ok {
			c.otherf("site %s removed", s.Name)
		}
	}
}

func (c *Changes) links(old, next *Set) {
	if old.c.Transitive != next.c.Transitive {
		c.otherf("site links are %s", map[bool]string{true: "transitive now", false: "not transitive any more: bridges are required"}[next.c.Transitive])
	}
	compared(c, "site link", named(old.c.Links), named(next.c.Links), func(before, after Link) {
		if before.Cost != after.Cost {
			c.otherf("site link %s: cost %d instead of %d", after.Name, after.Cost, before.Cost)
		}
		c.members("site link "+after.Name, before.Sites, after.Sites)
	})
	compared(c, "site link bridge", named(old.c.Bridges), named(next.c.Bridges), func(before, after Bridge) {
		c.members("site link bridge "+after.Name, before.Links, after.Links)
	})
}

func (l Link) name() string   { return l.Name }
func (b Bridge) name() string { return b.Name }

func named[T interface{ name() string }](list []T) map[string]T {
	out := make(map[string]T, len(list))
	for _, v := range list {
		out[fold(v.name())] = v
	}
	return out
}

// compared reports what stands on one side only, and gives what stands on both to both.
func compared[T interface{ name() string }](c *Changes, kind string, old, next map[string]T, both func(before, after T)) {
	for _, key := range slices.Sorted(maps.Keys(next)) {
		if before, ok := old[key]; ok {
			both(before, next[key])
		} else {
			c.otherf("%s %s added", kind, next[key].name())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, ok := next[key]; !ok {
			c.otherf("%s %s removed", kind, old[key].name())
		}
	}
}

func (c *Changes) members(what string, before, after []string) {
	missing := func(from, in []string) []string {
		return slices.DeleteFunc(slices.Clone(from), func(name string) bool {
			return slices.ContainsFunc(in, func(other string) bool { return fold(other) == fold(name) })
		})
	}
	if came := missing(after, before); len(came) > 0 {
		c.otherf("%s: with %s", what, strings.Join(came, ", "))
	}
	if went := missing(before, after); len(went) > 0 {
		c.otherf("%s: without %s", what, strings.Join(went, ", "))
	}
}

// shifted finds the sites that see the sites of both sets in another order.
func (c *Changes) shifted(old, next *Set) {
	counted := make(map[netip.Prefix]bool, len(c.Added)+len(c.Moved))
	for _, s := range c.Added {
		counted[s.Prefix] = true
	}
	for _, m := range c.Moved {
		counted[m.Prefix] = true
	}
	changed := orderChanged(old, next)
	for _, s := range next.c.Subnets {
		if _, ok := old.Site(s.Site); ok && !counted[s.Prefix] && changed(s.Site) {
			if c.Shifted == nil {
				c.Shifted = make(map[string]int)
			}
			c.Shifted[s.Site]++
		}
	}
}

// orderChanged answers for sites of both sets.
func orderChanged(old, next *Set) func(site string) bool {
	var common []string
	for _, s := range next.c.Sites {
		if _, ok := old.Site(s.Name); ok {
			common = append(common, fold(s.Name))
		}
	}
	if len(common) > maxOrdered {
		return func(string) bool { return true }
	}
	known := make(map[string]bool)
	return func(site string) bool {
		site = fold(site)
		changed, ok := known[site]
		if !ok {
			changed = !slices.Equal(old.ranked(site, common), next.ranked(site, common))
			known[site] = changed
		}
		return changed
	}
}

// ranked is the order of sites as seen from one, with a mark before those that cannot be reached.
func (s *Set) ranked(from string, sites []string) []string {
	costs := s.costs(s.sites[from])
	cost := func(name string) int64 { return costs[s.sites[name]] }
	out := slices.SortedFunc(slices.Values(sites), func(a, b string) int {
		return cmp.Or(cmp.Compare(cost(a), cost(b)), cmp.Compare(a, b))
	})
	for i, name := range out {
		if cost(name) == unreachable {
			return slices.Insert(out, i, "")
		}
	}
	return out
}
