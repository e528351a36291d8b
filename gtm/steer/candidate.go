package steer

import (
	"net/netip"
	"slices"
	"time"

	"switchpoint/healthcheck"
)

// Candidate is one member that was weighed.
type Candidate struct {
	Datacenter string
	Host       string
	Address    netip.AddrPort
	State      healthcheck.State
	Facts      string // what the check says, in its own words
	Spare      int    // capacity left; -1 when the member does not say
	Mode       string // in which mode it says that it works, since ModeSince; empty when it does not say
	ModeSince  time.Time
	Priority   int  // in SRV answers; -1 when it is in none
	Weight     int  // in SRV answers
	Chosen     bool // A or AAAA answers it
	Why        string
}

// Candidates explains every member. Nothing of it is computed before somebody asks.
func (d Decision) Candidates() []Candidate {
	answered := append(d.Addresses(false), d.Addresses(true)...)
	targets := d.Targets()
	var out []Candidate
	for i, g := range d.groups {
		for m := range g.pool.members {
			mem, st := &g.pool.members[m], &g.status[m]
			c := Candidate{
				Datacenter: g.pool.Datacenter, Host: mem.host, Address: netip.AddrPortFrom(mem.addr, mem.port),
				State: st.State, Facts: st.Reason, Spare: st.Load.Spare(), Priority: -1,
				Mode: st.Load.Mode, ModeSince: st.ModeSince,
			}
			serves := slices.Contains(g.serving, m)
			c.Chosen = i == d.best && serves && slices.Contains(answered, mem.addr)
			for _, t := range targets {
				if serves && g.in && t.Host == mem.host && t.Port == mem.port && slices.Contains(t.Addresses, mem.addr) {
					c.Priority, c.Weight = int(t.Priority), int(t.Weight)
				}
			}
			c.Why = d.why(i, serves, c)
			out = append(out, c)
		}
	}
	return out
}

// why says why a member of the i-th pool is answered or not.
func (d *Decision) why(i int, serves bool, c Candidate) string {
	g := d.groups[i]
	switch {
	case c.Chosen && g.why != "":
		return "chosen: " + g.rule + "; " + g.why
	case c.Chosen:
		return "chosen: " + g.rule
	case !g.in && g.why != "":
		return "left out: " + g.why
	case !serves:
		return "left out: " + g.whyNot(c.State)
	case d.moved && i == d.best+1:
		return "serves, but sheds this client " + g.cause.whyMoved() + " (SRV: next priority)"
	case i != d.best:
		return "serves, but " + d.earlier() + " (SRV: next priority)"
	}
	switch d.name.Method {
	case MethodFailover:
		return "serves, but an earlier one in the list does too (SRV: next priority)"
	case MethodHash:
		return "serves, but the client's network belongs to another one (SRV: next priority)"
	case MethodRoundRobin:
		return "serves, but its turn has not come (SRV: same priority)"
	}
	return "serves, but the draw fell on another one (SRV: same priority)"
}

// earlier says why another pool comes first.
func (d *Decision) earlier() string {
	switch d.name.Between {
	case BetweenFailover:
		return "an earlier datacenter of the list serves"
	case BetweenWeighted:
		return "the draw fell on another datacenter"
	}
	return "the client has an earlier datacenter that serves"
}

// whyNot says why a member does not serve.
func (g group) whyNot(state healthcheck.State) string {
	switch state {
	case healthcheck.Overloaded, healthcheck.Up, healthcheck.Unknown:
		return g.rule
	}
	return state.String()
}
