package gtm

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"switchpoint/gtm/place"
	"switchpoint/gtm/steer"
)

// Reason says why an answer is what it is. It holds facts, not text: it is made for every
// query, and turned into text only where somebody asks.
type Reason struct {
	Zone string // origin of the zone that answered, empty when the name lies in none
	Name string // the steered name behind the answer, empty for plain zone data
	What string // in one sentence: what the question met
	Hops []string

	Client       netip.Addr
	Subnet       netip.Prefix // of the client, where the question told it
	Domain       string       // of the client's computer, where it is known
	Prefix       netip.Prefix // the topology prefix that holds the client; invalid when none does
	PrefixSource string

	Datacenter string // the one that A and AAAA answer and that SRV puts first
	Method     string // how members of a pool are chosen, as configured
	Between    string // how pools are ordered, as configured
	AllDown    string // the all-down policy that was used; empty while something serves

	TTL    uint32 // seconds; 0 for plain zone data
	TTLWhy string

	table    *Table
	place    place.Place
	decision steer.Decision
}

// Policy is what chose the members: the all-down policy where nothing serves, else the method.
// It is empty for plain zone data.
func (r *Reason) Policy() string { return cmp.Or(r.AllDown, r.Method) }

// Order is the datacenters in this client's order, and Costs what sites say about their distance;
// nil where they say nothing.
func (r *Reason) Order() (order []string, costs []int) {
	if r.Name == "" {
		return nil, nil
	}
	for _, dc := range r.place.Order {
		order = append(order, r.table.steering.Datacenters()[dc])
	}
	return order, r.place.Costs
}

// Candidates explains each member of the steered name.
func (r *Reason) Candidates() []steer.Candidate {
	if r.Name == "" {
		return nil
	}
	return r.decision.Candidates()
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
	add("client:      %s", r.clientLine())
	if r.place.Scope.IsValid() {
		add("scope:       %s", r.place.Scope)
	}
	add("order:       %s", orderLine(r.Order()))
	add("policy:      %s in the pool, %s between pools", r.Method, r.Between)
	for _, line := range r.decision.Chances() {
		add("draw:        %s", line)
	}
	for _, c := range r.Candidates() {
		add("  %s", candidateLine(c))
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

// candidateLine gives a candidate on one line.
func candidateLine(c steer.Candidate) string {
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
	if c.Mode != "" {
		facts += ", mode " + c.Mode
	}
	if !c.ModeSince.IsZero() {
		facts += " since " + c.ModeSince.UTC().Format(time.DateTime) + " UTC"
	}
	return fmt.Sprintf("%s %s %s: %s; %s", mark, c.Datacenter, name, facts, c.Why)
}

// steering writes a decision into the reason.
func (r *Reason) steering(t *Table, s *steered, p place.Place, d steer.Decision) {
	r.Name = s.display
	r.Prefix, r.PrefixSource = p.Prefix, p.Source
	r.TTL, r.TTLWhy = d.TTL()
	r.Method, r.Between, r.AllDown = d.Method(), d.Between(), d.Policy()
	r.Datacenter = d.Datacenter()
	r.table, r.place, r.decision = t, p, d
}

// orderLine gives datacenters with their costs.
func orderLine(order []string, costs []int) string {
	if len(costs) == len(order) {
		for i := range order {
			if costs[i] == place.NoCost {
				order[i] += " (no path)"
				continue
			}
			if costs[i] != place.NoCost {
				order[i] += fmt.Sprintf(" (cost %d)", costs[i])
			}
		}
	}
	return strings.Join(order, ", ")
}
