package sites

import (
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
	// owners in another order, because their sites came or went, or links or their costs changed.
	Shifted map[string]int
	// Other says in words what changed in sites, links and bridges, a line each.
	Other []string
}

// Move is a subnet that goes from one site to another.
type Move struct {
	Prefix   netip.Prefix
	From, To string
}

// Diff compares two sets; of the first import old is nil. Owners is as for Routes, with the same
// numbers for both sets; without it nothing is shifted. Locations and problems are not compared: no
// decision hangs on them.
func Diff(old, next *Set, owners func(*Set) map[string]int) Changes {
	if old == nil {
		old = indexed(contents{Transitive: next.c.Transitive})
	}
	var c Changes
	c.subnets(old, next)
	c.sites(old, next)
	c.links(old, next)
	if len(c.Other) > 0 && owners != nil {
		c.shifted(old, next, owners)
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
		lines = append(lines, fmt.Sprintf("site %s gets the datacenters in another order: %d subnets", site, c.Shifted[site]))
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

// shifted finds the sites that get the owners in another order.
func (c *Changes) shifted(old, next *Set, owners func(*Set) map[string]int) {
	counted := make(map[netip.Prefix]bool, len(c.Added)+len(c.Moved))
	for _, s := range c.Added {
		counted[s.Prefix] = true
	}
	for _, m := range c.Moved {
		counted[m.Prefix] = true
	}
	before, after := old.Routes(owners(old)), next.Routes(owners(next))
	known := make(map[string]bool)
	for _, s := range next.c.Subnets {
		if counted[s.Prefix] {
			continue
		}
		changed, ok := known[s.Site]
		if !ok {
			changed = !slices.Equal(before.reached(s.Site), after.reached(s.Site))
			known[s.Site] = changed
		}
		if changed {
			if c.Shifted == nil {
				c.Shifted = make(map[string]int)
			}
			c.Shifted[s.Site]++
		}
	}
}

// reached are the owners that a path leads to, the cheapest first.
func (r *Routes) reached(site string) []int {
	var out []int
	for _, s := range r.Order(site) {
		if s.Reached {
			out = append(out, s.Owner)
		}
	}
	return out
}
