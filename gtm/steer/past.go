package steer

import (
	"slices"
	"time"
)

// namePast is what the director has to know of the past of a name. It is part of a View and never
// changes; the next View gets a copy with what became different.
type namePast struct {
	policy  string    // the all-down policy in force
	changed time.Time // when the set of pools that are in became different; zero: it never did
	ignored []string  // overrides that were not applied
	pools   []poolPast
}

// poolPast is what the director has to know of the past of a pool.
type poolPast struct {
	seen  bool      // its health was known once; before that nothing here means anything
	took  bool      // it took part when its health was known last
	since time.Time // since when it does, or does not
	// good are the members that it served when the name was last served, by their index.
	good []int

	// A pool that takes part and turns ill goes (is gone), as the demotion limit allows, and is gone
	// until it is back: well for the failback delay and not held.
	ill     time.Time // since when it is ill; zero: it is not
	gone    bool
	demoted time.Time // when it went, where that counts against the demotion limit
	well    time.Time // since when it is well again while it is gone; zero: it is not
	held    bool      // an operator has to release it (manual_resume)
	under   uint64    // the operators' document under which the hold began

	shed    int       // steps
	stepped time.Time // when the last one was made, or when the overload began; zero: nothing is shed

	changes []Change // shared with views before: never written to in place
}

// maxChanges is how many changes of a pool are kept.
const maxChanges = 10

// turn notes that the pool goes in or out.
func (p *poolPast) turn(c Change) {
	keep := p.changes[max(0, len(p.changes)-maxChanges+1):]
	p.changes = append(slices.Clone(keep), c)
	p.took, p.since = c.In, c.At
}

// copyTo is a copy whose pools stand in room and can be written to. No time in it is later than now: the
// clock may have been put back, and nothing shall be waited for longer than it takes.
func (p namePast) copyTo(room []poolPast, now time.Time) namePast {
	copy(room, p.pools)
	p.pools = room
	p.changed = notAfter(p.changed, now)
	for i := range p.pools {
		q := &p.pools[i]
		for _, t := range [...]*time.Time{&q.since, &q.ill, &q.demoted, &q.well, &q.stepped} {
			*t = notAfter(*t, now)
		}
	}
	return p
}

func notAfter(t, now time.Time) time.Time {
	if t.After(now) {
		return now
	}
	return t
}

// pasts gives the past of each name of a table, which may be another one than the view is of: names are
// known by their name, pools by their datacenter, members by their address. What was removed is forgotten.
func (v *View) pasts(t *Table) []namePast {
	out := make([]namePast, len(t.names))
	if v != nil && v.table == t {
		for i := range v.names {
			out[i] = v.names[i].past
		}
		return out
	}
	known := map[string]int{}
	if v != nil {
		for i, n := range v.table.names {
			known[n.id] = i
		}
	}
	for i, n := range t.names {
		if j, ok := known[n.id]; ok {
			out[i] = v.names[j].past.carry(v.table.names[j], n)
		} else {
			out[i] = namePast{}
		}
	}
	return out
}

// carry brings the past of a name over to the same name in another table.
func (p namePast) carry(from, to *name) namePast {
	out := p
	out.pools = make([]poolPast, len(to.pools))
	for i := range to.pools {
		now := &to.pools[i]
		j := slices.IndexFunc(from.pools, func(was pool) bool { return was.id == now.id })
		if j < 0 {
			continue
		}
		out.pools[i] = p.pools[j]
		out.pools[i].good = nil
		for _, m := range p.pools[j].good {
			id := from.pools[j].members[m].id
			if k := slices.IndexFunc(now.members, func(c member) bool { return c.id == id }); k >= 0 {
				out.pools[i].good = append(out.pools[i].good, k)
			}
		}
	}
	return out
}
