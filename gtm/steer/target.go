package steer

import (
	"math"
	"net/netip"
)

// Target is one SRV record to be: a host that serves.
type Target struct {
	Priority  uint16
	Weight    uint16
	Port      uint16
	Host      string       // with the final dot
	Addresses []netip.Addr // of the serving members at this host
}

// The SRV priorities of a pool are a band of priorityStep: the first is for what A and AAAA may
// answer, and those after it for the others of a method that ranks its members. 1000 datacenters
// fit 16 bits, and a person still reads the datacenter from the number.
const priorityStep = 10

// Targets are the serving members of all pools that are in, as SRV targets. Two members at one
// host and port, its IPv4 and its IPv6 address, are one record.
//
//	method                      priority in the pool's band         weight (RFC 2782)
//	round-robin, weighted,      all 0                               capacity left or configured
//	least-load                                                      weight, see yardstick
//	failover, hash              0: what A and AAAA would answer     the same
//	                            1, 2, ... 9, 9: the others
//
// So the addresses that A and AAAA answer are always among those of the best priority, and with
// round-robin over all members they are the same.
func (d Decision) Targets() []Target {
	l := listing{out: make([]Target, 0, d.serving())}
	for i, g := range d.groups {
		if !g.in {
			continue
		}
		l.begin(g, d.name.Method)
		if d.name.Method == MethodFailover || d.name.Method == MethodHash {
			d.listRanked(&l, i*priorityStep)
			continue
		}
		for _, m := range g.serving {
			l.add(m, i*priorityStep)
		}
	}
	return l.out
}

// serving is how many members serve in all pools.
func (d *Decision) serving() (n int) {
	for i := range d.groups {
		n += len(d.groups[i].serving)
	}
	return n
}

// listRanked adds the targets of a pool whose method ranks its members.
func (d *Decision) listRanked(l *listing, priority int) {
	var few [16]unit
	r := d.rank(l.group, few[:0])
	left, after := [2]int{d.limit(), d.limit()}, 0
	for step := range r.units {
		u, place := r.next(step), 0
		if !u.answers(&left) {
			after = min(after+1, priorityStep-1)
			place = after
		}
		for _, m := range l.serving {
			if l.pool.members[m].unit == u.id {
				l.add(m, priority+place)
			}
		}
	}
}

// listing is a list of targets that is being made, at the pool that it has come to.
type listing struct {
	group
	out     []Target
	from    int // the pool's first target
	by      yardstick
	largest int // of the pool's weights
}

// begin goes on with a pool.
func (l *listing) begin(g group, method string) {
	l.group, l.from, l.by, l.largest = g, len(l.out), g.yardstick(method), 0
	for _, m := range g.serving {
		l.largest = max(l.largest, g.weight(m, l.by))
	}
}

// add puts a member into the list. Of two members of one record the larger weight counts: they
// are one machine.
func (l *listing) add(m, priority int) {
	mem, weight := &l.pool.members[m], l.scaled(m)
	for i := l.from; i < len(l.out); i++ {
		if t := &l.out[i]; t.Port == mem.port && t.Host == mem.host {
			t.Addresses = append(t.Addresses, mem.addr)
			t.Weight = max(t.Weight, weight)
			return
		}
	}
	l.out = append(l.out, Target{
		Priority: uint16(priority), Weight: weight, Port: mem.port, Host: mem.host, Addresses: []netip.Addr{mem.addr},
	})
}

// scaled is the SRV weight of a member. Where weights do not fit 16 bits, all of the pool are
// scaled down together.
func (l *listing) scaled(m int) uint16 {
	w := l.weight(m, l.by)
	if l.largest > math.MaxUint16 {
		w = int(int64(w) * math.MaxUint16 / int64(l.largest))
	}
	return uint16(w)
}
