package steer

import (
	"fmt"
	"strings"
)

// Chances tells how chance, or what stands in for it, chose between pools and between members,
// a line for each step. Nothing of it is computed before somebody asks.
func (d Decision) Chances() []string {
	var out []string
	if d.name.Between == BetweenWeighted && d.best >= 0 {
		out = append(out, d.poolChance())
	}
	if line := d.shedChance(); line != "" {
		out = append(out, line)
	}
	if d.best < 0 {
		return out
	}
	g := d.groups[d.best]
	return append(out, "in "+g.pool.Datacenter+": "+d.memberChance(g))
}

// poolChance shows the draw between pools.
func (d *Decision) poolChance() string {
	before := *d // in the order in which the draw counts them
	before.groups = nil
	before.byPlace()
	var l lots
	for _, g := range before.groups {
		if g.in {
			l.add(g.pool.Datacenter, g.pool.Weight)
		}
	}
	return "between datacenters: " + l.text(d.client.share(drawPool))
}

// shedChance shows what shifting did to the order.
func (d *Decision) shedChance() string {
	at := d.best
	if d.moved {
		at++
	}
	if at < 0 || d.groups[at].shed <= 0 {
		return ""
	}
	what := "it stays"
	switch {
	case d.moved:
		what = d.Datacenter() + " takes this one"
	case d.client.share(drawShed) < d.groups[at].shed:
		what = "no other takes this one, it stays"
	}
	by := map[cause]string{forOverload: "overload", forMode: "prefer_normal", comesBack: "coming back"}[d.groups[at].cause]
	return fmt.Sprintf("%s: %s sheds %.0f %% of its clients; drawn %.2f: %s",
		by, d.groups[at].pool.Datacenter, 100*d.groups[at].shed, d.client.share(drawShed), what)
}

// memberChance shows the choice inside the pool that is answered.
func (d *Decision) memberChance(g group) string {
	if d.rotates(g) {
		var first []string
		for _, ipv6 := range []bool{false, true} {
			if set := d.Addresses(ipv6); len(set) > 0 {
				first = append(first, set[0].String())
			}
		}
		return "the rotation begins with " + strings.Join(first, " and ")
	}
	var few [16]unit
	r := d.rank(g, few[:0])
	switch {
	case r.draws:
		var l lots
		for _, u := range r.units {
			l.add(g.unitName(u.id), u.weight)
		}
		return l.text(d.client.share(drawMember))
	case r.scored:
		return fmt.Sprintf("the network %s belongs to %s", d.client.Network, g.unitName(r.next(0).id))
	}
	return g.unitName(r.next(0).id) + " is the first of the list that serves"
}

// unitName is what a person calls a unit: its host, or its address.
func (g group) unitName(id int) string {
	for i := range g.pool.members {
		if m := &g.pool.members[i]; m.unit == id && m.host != "" {
			return strings.TrimSuffix(m.host, ".")
		} else if m.unit == id {
			return m.addr.String()
		}
	}
	return ""
}

// lots is a weighted draw as a person reads it.
type lots struct {
	names   []string
	weights []int
	total   int
}

func (l *lots) add(name string, weight int) {
	l.names, l.weights, l.total = append(l.names, name), append(l.weights, weight), l.total+weight
}

func (l *lots) text(drawn float64) string {
	parts := make([]string, len(l.names))
	for i, n := range l.names {
		parts[i] = fmt.Sprintf("%s %d/%d", n, l.weights[i], l.total)
	}
	return fmt.Sprintf("drawn %.2f of: %s", drawn, strings.Join(parts, ", "))
}
