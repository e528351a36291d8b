package steer

import "net/netip"

// Client is what a decision may depend on of the one who asks.
type Client struct {
	// Order is every datacenter once, the nearest first, as indices into Table.Datacenters.
	Order []int
	// Network is what method "hash" keeps together. A decision depends on no other part of the
	// client's address, so that it holds for all of the network.
	Network netip.Prefix
	// Draw is uniform random bits: a decision has no randomness of its own.
	Draw uint64
}

// Decision says who answers one client for one steered name.
type Decision struct {
	name   *name
	view   *nameView
	table  *Table
	client Client
	groups []group // in the order that the name's "between" gives for this client
	best   int     // the group that A and AAAA answer, the best SRV priority; -1: none
	moved  bool    // best is there because the one after it sheds clients
}

// group is one pool in a decision.
type group struct {
	*poolView
	pool *pool
}

// Decide is the decision for one client. i is the name's index in the configuration.
func (v *View) Decide(i int, c Client) Decision {
	d := Decision{name: v.table.names[i], view: &v.names[i], table: v.table, client: c}
	d.groups = make([]group, 0, len(d.name.pools))
	switch d.name.Between {
	case BetweenFailover:
		d.byFile()
	case BetweenWeighted:
		d.byPlace()
		d.drawPool()
	default:
		d.byPlace()
	}
	d.best = d.first()
	d.shift()
	return d
}

// Serves says whether a member may be answered now. All are told apart by their indices in the
// configuration.
func (v *View) Serves(name, pool, member int) bool {
	for _, m := range v.names[name].pools[pool].serving {
		if m == member {
			return true
		}
	}
	return false
}

// TTL is how long, in seconds, an answer of a name may be kept. i is its index in the configuration.
func (v *View) TTL(i int) uint32 { return v.names[i].ttl }

// first is the first pool that is in; -1: there is none.
func (d *Decision) first() int {
	for i := range d.groups {
		if d.groups[i].in {
			return i
		}
	}
	return -1
}

// Method is how members were chosen, as configured.
func (d Decision) Method() string { return d.name.Method }

// Between is how pools were ordered, as configured.
func (d Decision) Between() string { return d.name.Between }

// Policy is the all-down policy that was used; empty while something serves.
func (d Decision) Policy() string { return d.view.policy }

// TTL is how long the answer may be kept, in seconds, and why.
func (d Decision) TTL() (uint32, string) { return d.view.ttl, d.view.ttlWhy }

// Datacenter is the one that A and AAAA answer, empty when there is none.
func (d Decision) Datacenter() string {
	if d.best < 0 {
		return ""
	}
	return d.groups[d.best].pool.Datacenter
}

// Addresses are the addresses of the wanted family to answer, each once, the one to use first.
// With all_down = "fallback" in force they are the fallback addresses.
func (d Decision) Addresses(ipv6 bool) []netip.Addr {
	switch {
	case d.best < 0 && d.view.policy == AllDownFallback:
		return d.fallback(ipv6)
	case d.best < 0:
		return nil
	}
	g := d.groups[d.best]
	out := make([]netip.Addr, 0, len(g.serving))
	if d.rotates(g) {
		out = g.addresses(out, -1, ipv6)
		rotate(out, d.client.Draw)
		return out[:min(len(out), d.limit())]
	}
	var few [16]unit
	r := d.rank(g, few[:0])
	f, left := 0, d.limit()
	if ipv6 {
		f = 1
	}
	for step := 0; step < len(r.units) && left > 0; step++ {
		if u := r.next(step); u.has[f] {
			out = g.addresses(out, u.id, ipv6)
			left--
		}
	}
	return out
}

// fallback are the fallback addresses of a family. Nobody knows how they are, so they rotate.
func (d Decision) fallback(ipv6 bool) []netip.Addr {
	var out []netip.Addr
	for _, a := range d.name.backup {
		if a.Is6() == ipv6 && !contains(out, a) {
			out = append(out, a)
		}
	}
	rotate(out, d.client.Draw)
	return out
}

// limit is how many addresses one answer has at most.
func (d *Decision) limit() int {
	switch {
	case d.name.Answers > 0:
		return d.name.Answers
	case d.name.Method == MethodRoundRobin:
		return MaxAnswers
	}
	return 1
}

// ranking is the units of a pool that serve, brought into the method's order step by step: most
// answers need only the first.
type ranking struct {
	units  []unit
	client Client
	draws  bool
	scored bool
}

// rank begins the ranking of a pool in dst.
func (d *Decision) rank(g group, dst []unit) ranking {
	r := ranking{units: g.units(dst, g.yardstick(d.name.Method)), client: d.client, draws: d.draws(g)}
	if d.name.Method == MethodHash {
		r.scored = true
		g.scores(r.units, d.client)
	}
	return r
}

// next puts the unit of the next step into its place and gives it.
func (r *ranking) next(step int) unit {
	switch {
	case r.draws:
		drawn(r.units, step, r.client)
	case r.scored:
		lowest(r.units, step)
	}
	return r.units[step]
}
