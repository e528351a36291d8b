package sites

import (
	"cmp"
	"container/heap"
	"fmt"
	"math"
	"slices"
)

// unreachable is the cost of a site that no path leads to.
const unreachable = math.MaxInt64

// Step is one owner's place in an order: its site that is cheapest to reach.
type Step struct {
	Owner int    // as the caller numbered it
	Site  string // the owner's site that counts
	Cost  int64  // sum of the link costs on the way; 0 for the client's own site
	// Reached is false when no path leads there. Such steps come last and have no cost.
	Reached bool
	// Known is false when the directory has no site of that name.
	Known bool
}

// String explains the step, such as "site Prague, cost 200".
func (s Step) String() string {
	switch {
	case s.Reached:
		return fmt.Sprintf("site %s, cost %d", s.Site, s.Cost)
	case s.Known:
		return fmt.Sprintf("site %s, no path of site links", s.Site)
	}
	return fmt.Sprintf("site %s, not in the directory", s.Site)
}

// Routes knows the cost from the sites of some owners (datacenters) to every site. It does not
// change.
type Routes struct {
	set   *Set
	ends  []end
	costs [][]int64 // by end, then by site
}

// end is a site that has an owner.
type end struct {
	name  string
	owner int
	known bool
}

// Routes computes the costs once, for questions about many sites. Owners maps the name of a site to
// the caller's number of who is there; several sites may have the same owner.
func (s *Set) Routes(owners map[string]int) *Routes {
	r := &Routes{set: s}
	for name, owner := range owners {
		e := end{name: name, owner: owner}
		if site, ok := s.Site(name); ok {
			e.name, e.known = site.Name, true
		}
		r.ends = append(r.ends, e)
	}
	slices.SortFunc(r.ends, func(a, b end) int {
		return cmp.Or(cmp.Compare(fold(a.name), fold(b.name)), cmp.Compare(a.owner, b.owner))
	})
	for _, e := range r.ends {
		var costs []int64
		if e.known {
			costs = s.costs(s.sites[fold(e.name)])
		}
		r.costs = append(r.costs, costs)
	}
	return r
}

// Order gives every owner once, the cheapest to reach from site first and equally cheap ones by the
// name of their site. Owners that cannot be reached come last, by name.
func (r *Routes) Order(site string) []Step {
	from, found := r.set.sites[fold(site)]
	var all []Step
	for i, e := range r.ends {
		step := Step{Owner: e.owner, Site: e.name, Known: e.known}
		if found && e.known && r.costs[i][from] != unreachable {
			step.Reached, step.Cost = true, r.costs[i][from]
		}
		all = append(all, step)
	}
	slices.SortStableFunc(all, func(a, b Step) int { // stable: the ends are sorted by name
		switch {
		case a.Reached != b.Reached && a.Reached:
			return -1
		case a.Reached != b.Reached:
			return 1
		}
		// A link of cost 0 is no reason to leave the client's own site.
		return cmp.Or(cmp.Compare(a.Cost, b.Cost), -own(a, site), own(b, site))
	})
	seen := make(map[int]bool, len(all))
	return slices.DeleteFunc(all, func(s Step) bool {
		again := seen[s.Owner]
		seen[s.Owner] = true
		return again
	})
}

func own(s Step, site string) int {
	if s.Known && fold(s.Site) == fold(site) {
		return 1
	}
	return 0
}

// Order is Routes for one question.
func (s *Set) Order(site string, owners map[string]int) []Step { return s.Routes(owners).Order(site) }

// costs gives the cost from one site to every other. Links work both ways, so they are also the
// costs of the way back.
func (s *Set) costs(from int) []int64 {
	every := func(int) bool { return true }
	if s.c.Transitive {
		return s.shortest(from, every)
	}
	best := make([]int64, len(s.c.Sites))
	for i := range best {
		best[i] = unreachable
	}
	best[from] = 0
	improve := func(costs []int64) {
		for i, c := range costs {
			best[i] = min(best[i], c)
		}
	}
	for _, l := range s.linksOf[from] {
		improve(s.shortest(from, func(link int) bool { return link == l }))
	}
	for _, b := range s.c.Bridges {
		within := make(map[int]bool, len(b.Links))
		for l, link := range s.c.Links {
			within[l] = slices.Contains(b.Links, link.Name)
		}
		improve(s.shortest(from, func(link int) bool { return within[link] }))
	}
	return best
}

// shortest is Dijkstra's algorithm over the links that may be used. A link of n sites would be n²
// edges, so it is a node of its own: its cost is paid on the way in, and the way out is free.
func (s *Set) shortest(from int, usable func(link int) bool) []int64 {
	best := make([]int64, len(s.c.Sites))
	for i := range best {
		best[i] = unreachable
	}
	best[from] = 0
	entered := make([]bool, len(s.c.Links))
	queue := frontier{{site: from}}
	for len(queue) > 0 {
		at := heap.Pop(&queue).(reached)
		if at.cost > best[at.site] {
			continue // a cheaper way was found meanwhile
		}
		for _, l := range s.linksOf[at.site] {
			// Sites leave the queue by rising cost: who enters a link first enters it cheapest.
			if entered[l] || !usable(l) {
				continue
			}
			entered[l] = true
			cost := at.cost + int64(s.c.Links[l].Cost)
			for _, to := range s.members[l] {
				if cost < best[to] {
					best[to] = cost
					heap.Push(&queue, reached{site: to, cost: cost})
				}
			}
		}
	}
	return best
}

// reached is a site with the cost of a way to it.
type reached struct {
	site int
	cost int64
}

// frontier is the queue of sites to go on from, the cheapest first.
type frontier []reached

func (f frontier) Len() int           { return len(f) }
func (f frontier) Less(i, j int) bool { return f[i].cost < f[j].cost }
func (f frontier) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }

// Push is for container/heap.
func (f *frontier) Push(x any) { *f = append(*f, x.(reached)) }

// Pop is for container/heap.
func (f *frontier) Pop() any {
	old := *f
	last := old[len(old)-1]
	*f = old[:len(old)-1]
	return last
}
