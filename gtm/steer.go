package gtm

import (
	"net/netip"

	"switchpoint/healthcheck"
)

// steered is a compiled [[gtm.name]].
type steered struct {
	display string // with the final dot, as configured
	ttl     uint32 // seconds
	allDown string // one of the allDown constants
	pools   []pool // at most one per datacenter
}

// pool is a compiled [[gtm.name.pool]].
type pool struct {
	datacenter int // index into Table.datacenters
	members    []member
}

// member is a compiled Member.
type member struct {
	host      string // SRV target with the final dot, or empty
	addr      netip.Addr
	port      uint16
	weight    int
	monitored bool
	ref       healthcheck.Ref
}

// group is one pool in a decision: its place in the client's order and who in it serves.
type group struct {
	*pool
	position int // in the client's order of datacenters, from zero
	status   []healthcheck.Status
	serving  []int  // members that may be answered
	rule     string // the rule by which they do
}

// decision says who answers one client for one steered name. A, AAAA and SRV are three views
// of it, so that they cannot disagree.
type decision struct {
	groups []group // in the client's order
	best   int     // the group that A and AAAA answer, the best SRV priority; -1: none
	policy string  // the all-down policy that was used; empty while something serves
}

// decide is the steering decision of GT2 and GT3, pure in its arguments:
//
//	members of known state serve          | first datacenter in the client's order that has one
//	only members of unknown state could   | the same, among those
//	none serves, all_down = "all"         | as if every member served that no operator took out
//	                                        (draining, maintenance); those too if no other is left
//	none serves, all_down = "nodata"      | nobody; the answer is NODATA
//	none serves, all_down = "servfail"    | nobody; the answer is SERVFAIL
//
// Who serves within a datacenter is healthcheck.Serving (HK4): the up members, else the
// overloaded ones, else those not yet known. A datacenter of which nothing is known steps back
// behind every one that is known to serve. The address family plays no part: a client must not
// reach another datacenter over IPv6 than over IPv4.
func decide(s *steered, order []int, status func(healthcheck.Ref) healthcheck.Status) decision {
	d := decision{best: -1, groups: make([]group, 0, len(s.pools))}
	for position, dc := range order {
		for i := range s.pools {
			if s.pools[i].datacenter == dc {
				d.groups = append(d.groups, newGroup(&s.pools[i], position, status))
			}
		}
	}
	d.stepBack()
	if d.best = d.firstServing(); d.best >= 0 {
		return d
	}
	d.policy = s.allDown
	if s.allDown != allDownAll {
		return d
	}
	d.serveRegardless(func(s healthcheck.State) bool {
		return s != healthcheck.Draining && s != healthcheck.Maintenance
	})
	if d.best < 0 {
		d.serveRegardless(func(healthcheck.State) bool { return true })
	}
	return d
}

func newGroup(p *pool, position int, status func(healthcheck.Ref) healthcheck.Status) group {
	g := group{pool: p, position: position, status: make([]healthcheck.Status, len(p.members))}
	for i, m := range p.members {
		if m.monitored {
			g.status[i] = status(m.ref)
		} else {
			g.status[i] = healthcheck.Status{
				State: healthcheck.Up, Reason: "not monitored, counts as up",
				Load: healthcheck.Load{Active: -1, Capacity: -1},
			}
		}
	}
	g.serving, g.rule = healthcheck.Serving(nil, g.status)
	return g
}

// known says whether the group serves with members whose state is known. Serving never mixes
// them with unknown ones.
func (g group) known() bool {
	return len(g.serving) > 0 && g.status[g.serving[0]].State != healthcheck.Unknown
}

// stepBack takes the groups of unknown state out while another one is known to serve.
func (d *decision) stepBack() {
	some := false
	for _, g := range d.groups {
		some = some || g.known()
	}
	if !some {
		return
	}
	for i := range d.groups {
		if g := &d.groups[i]; len(g.serving) > 0 && !g.known() {
			g.serving, g.rule = nil, "nothing is known of the datacenter yet, and others are known to serve"
		}
	}
}

func (d *decision) firstServing() int {
	for i, g := range d.groups {
		if len(g.serving) > 0 {
			return i
		}
	}
	return -1
}

// serveRegardless makes every member serve whose state allowed accepts.
func (d *decision) serveRegardless(allowed func(healthcheck.State) bool) {
	for i := range d.groups {
		g := &d.groups[i]
		for m := range g.members {
			if allowed(g.status[m].State) {
				g.serving, g.rule = append(g.serving, m), "all members of the name are down: they are answered all the same"
			}
		}
	}
	d.best = d.firstServing()
}

// addresses are the addresses of the wanted family to answer, each once, rotated by draw:
// every one of them comes first equally often.
func (d decision) addresses(ipv6 bool, draw uint64) []netip.Addr {
	if d.best < 0 {
		return nil
	}
	g := d.groups[d.best]
	set := make([]netip.Addr, 0, len(g.serving))
	seen := make(map[netip.Addr]bool, len(g.serving))
	for _, m := range g.serving {
		if a := g.members[m].addr; a.Is6() == ipv6 && !seen[a] {
			seen[a] = true
			set = append(set, a)
		}
	}
	if len(set) < 2 {
		return set
	}
	first := int(draw % uint64(len(set)))
	return append(append(make([]netip.Addr, 0, len(set)), set[first:]...), set[:first]...)
}

// target is one SRV record to be: a host that serves.
type target struct {
	priority uint16
	weight   uint16
	port     uint16
	host     string
	addrs    []netip.Addr // of the serving members at this host
}

// endpoint tells SRV targets apart: two members at one host and port (its IPv4 and its IPv6
// address) are one record.
type endpoint struct {
	host string
	port uint16
}

// prioritySteps between datacenters leave room for an admin to read them, and for later ones.
const priorityStep = 10

// targets are the serving members of all datacenters as SRV targets: priority = place of the
// datacenter in the client's order, weight = spare capacity or configured weight.
func (d decision) targets() []target {
	var out []target
	at := make(map[endpoint]int)
	for _, g := range d.groups {
		weights := g.weights()
		for i, m := range g.serving {
			mem := g.members[m]
			key := endpoint{mem.host, mem.port}
			if j, ok := at[key]; ok {
				out[j].addrs = append(out[j].addrs, mem.addr)
				continue
			}
			at[key] = len(out)
			out = append(out, target{
				priority: uint16(g.position * priorityStep), weight: weights[i],
				port: mem.port, host: mem.host, addrs: []netip.Addr{mem.addr},
			})
		}
	}
	return out
}

// weights gives the SRV weight of each serving member: its live spare capacity when all of
// them report one and at least one has some, else its configured weight. The two are never
// mixed, they have no common unit. Values above 16 bits are scaled down together.
func (g group) weights() []uint16 {
	raw := make([]int, len(g.serving))
	spare, largest := true, 0
	for i, m := range g.serving {
		raw[i] = g.status[m].Load.Spare()
		spare = spare && raw[i] >= 0
		largest = max(largest, raw[i])
	}
	if !spare || largest == 0 {
		largest = 0
		for i, m := range g.serving {
			raw[i] = g.members[m].weight
			largest = max(largest, raw[i])
		}
	}
	out := make([]uint16, len(raw))
	for i, w := range raw {
		if largest > 65535 {
			w = int(int64(w) * 65535 / int64(largest))
		}
		out[i] = uint16(w)
	}
	return out
}
