package gtm

import (
	"fmt"
	"net/netip"
	"strings"

	"switchpoint/healthcheck"
)

// Reason says why an answer is what it is. It holds facts, not text: it is made for every
// query, and turned into text only where somebody asks.
type Reason struct {
	Zone string // origin of the zone that answered, empty when the name lies in none
	Name string // the steered name behind the answer, empty for plain zone data
	What string // in one sentence: what the question met
	Hops []string

	Client       netip.Addr
	Prefix       netip.Prefix // the topology prefix that holds the client; invalid when none does
	PrefixSource string
	Order        []string // the datacenters in this client's order

	Candidates []Candidate
	Datacenter string // the one that A and AAAA answer and that SRV puts first
	AllDown    string // the all-down policy that was used; empty while something serves

	TTL    uint32 // seconds; 0 for plain zone data
	TTLWhy string
}

// Candidate is one member that was weighed.
type Candidate struct {
	Datacenter string
	Host       string
	Address    netip.AddrPort
	State      healthcheck.State
	Facts      string // what the check says, in its own words
	Spare      int    // capacity left; -1 when the member does not say
	Priority   int    // in SRV answers
	Weight     int    // in SRV answers; 0 when it does not serve
	Chosen     bool   // in the answer's first datacenter
	Why        string
}

// String gives Lines as one text.
func (r Reason) String() string { return strings.Join(r.Lines(), "\n") }

// Lines gives the reason as `switchpoint explain` prints it.
func (r Reason) Lines() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if r.Zone != "" {
		add("zone:        %s", r.Zone)
	}
	add("matched:     %s", r.What)
	for _, hop := range r.Hops {
		add("followed:    %s", hop)
	}
	if r.Name == "" {
		return out
	}
	add("name:        %s", r.Name)
	if r.Prefix.IsValid() {
		add("client:      %s is in %s (%s)", r.Client, r.Prefix, r.PrefixSource)
	} else {
		add("client:      %s; %s", r.Client, r.PrefixSource)
	}
	add("order:       %s", strings.Join(r.Order, ", "))
	for _, c := range r.Candidates {
		add("  %s", c)
	}
	if r.AllDown != "" {
		add("all down:    policy %q", r.AllDown)
	}
	if r.Datacenter != "" {
		add("datacenter:  %s", r.Datacenter)
	}
	add("ttl:         %d s; %s", r.TTL, r.TTLWhy)
	return out
}

// String gives the candidate on one line.
func (c Candidate) String() string {
	mark := "-"
	if c.Chosen {
		mark = "+"
	}
	name := c.Address.String()
	if c.Host != "" {
		name += " " + c.Host
	}
	facts := c.State.String()
	if c.Facts != "" {
		facts += " (" + c.Facts + ")"
	}
	if c.Spare >= 0 {
		facts += fmt.Sprintf(", %d spare", c.Spare)
	}
	return fmt.Sprintf("%s %s %s: %s; %s", mark, c.Datacenter, name, facts, c.Why)
}

// steering writes a decision into the reason.
func (r *Reason) steering(t *Table, s *steered, client netip.Addr, p place, d decision) {
	r.Name, r.Client = s.display, client
	r.Prefix, r.PrefixSource = p.prefix, p.source
	r.TTL, r.TTLWhy = s.ttl, "the ttl of the name"
	r.AllDown = d.policy
	r.Order = make([]string, len(p.order))
	for i, dc := range p.order {
		r.Order[i] = t.datacenters[dc]
	}
	if d.best >= 0 {
		r.Datacenter = t.datacenters[d.groups[d.best].datacenter]
	}
	for i, g := range d.groups {
		r.Candidates = append(r.Candidates, t.candidates(d, i, g)...)
	}
}

// candidates explains every member of one group.
func (t *Table) candidates(d decision, i int, g group) []Candidate {
	out := make([]Candidate, len(g.members))
	for m, mem := range g.members {
		st := g.status[m]
		out[m] = Candidate{
			Datacenter: t.datacenters[g.datacenter], Host: mem.host,
			Address: netip.AddrPortFrom(mem.addr, mem.port),
			State:   st.State, Facts: st.Reason, Spare: st.Load.Spare(),
			Priority: g.position * priorityStep, Why: whyNot(g, st.State),
		}
	}
	weights := g.weights()
	for j, m := range g.serving {
		c := &out[m]
		c.Weight = int(weights[j])
		c.Chosen = i == d.best
		c.Why = "chosen: " + g.rule
		if !c.Chosen {
			c.Why = "serves, but the client has an earlier datacenter that serves (SRV: next priority)"
		}
	}
	return out
}

// whyNot says why a member does not serve.
func whyNot(g group, state healthcheck.State) string {
	switch {
	case state == healthcheck.Overloaded, state == healthcheck.Up, state == healthcheck.Unknown:
		return "left out: " + g.rule
	}
	return "left out: " + state.String()
}
