package gtm

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Verifier looks from outside whether a delegation works.
type Verifier struct {
	// Servers are ip:port of name servers of the parent zone. Without any, the resolvers tell them.
	Servers []string
	// Resolvers are ip:port; they find the parent zone and the addresses of hosts.
	Resolvers []string
	Port      uint16        // of the name servers that are found; 0 is 53
	Timeout   time.Duration // of one question; 0 is 2 s
}

// Finding is one thing that was looked at.
type Finding struct {
	Mark string // Good, Odd or Bad
	What string
	Cure string // empty when good
}

// Marks of findings.
const (
	Good = "+"
	Odd  = "!" // works, but somebody should know
	Bad  = "-"
)

// Line gives a finding as people read it.
func (f Finding) Line() string {
	if f.Cure == "" {
		return f.Mark + " " + f.What
	}
	return f.Mark + " " + f.What + "; " + f.Cure
}

// Verify asks the parent for the delegation and each name server for the zone, over UDP and TCP.
func (v Verifier) Verify(ctx context.Context, d Delegation) []Finding {
	c := verification{Verifier: v, d: d, glue: map[string][]netip.Addr{}}
	parents := v.Servers
	if len(parents) == 0 {
		if parents = c.findParents(ctx); len(parents) == 0 {
			return c.findings
		}
	}
	for _, server := range parents {
		c.parent(ctx, server)
	}
	c.someReached("the parent zone " + trim(c.d.Parent))
	for _, ns := range d.NS {
		c.nameServer(ctx, ns, parents)
	}
	c.serials()
	return c.findings
}

// verification is one Verify under way.
type verification struct {
	Verifier
	d        Delegation
	glue     map[string][]netip.Addr // by host, as the parent says
	answered []soaSeen
	reached  bool // a server that was asked since someReached, or the network that it is in
	findings []Finding
}

// soaSeen is the serial that a name server has of the zone.
type soaSeen struct {
	where  string
	serial uint32
}

func (c *verification) good(format string, args ...any) {
	c.findings = append(c.findings, Finding{Mark: Good, What: fmt.Sprintf(format, args...)})
}

func (c *verification) bad(cure, format string, args ...any) {
	c.findings = append(c.findings, Finding{Mark: Bad, What: fmt.Sprintf(format, args...), Cure: cure})
}

// silent notes a server that did not answer. Where this host has no way to it, as to an IPv6 address
// without IPv6, that says nothing of the delegation.
func (c *verification) silent(err error, cure, what string) {
	if !noWay(err) {
		c.reached = true
		c.bad(cure, "%s: %v", what, err)
		return
	}
	c.findings = append(c.findings, Finding{
		Mark: Odd, What: fmt.Sprintf("%s: this host has no way to it (%v)", what, err), Cure: "verify it from a host that has one",
	})
}

// someReached complains when this host had a way to none of the servers that were asked: nothing was
// verified then.
func (c *verification) someReached(of string) {
	if !c.reached {
		c.bad("verify the delegation from a host that reaches them", "this host reaches no server of %s", of)
	}
	c.reached = false
}

// maxParents bounds how many servers of the parent zone are asked.
const maxParents = 8

// findParents asks the resolvers for the servers of the closest zone above ours.
func (c *verification) findParents(ctx context.Context) []string {
	cure := fmt.Sprintf("name a DNS server of the zone %s with --server", trim(c.d.Parent))
	if len(c.Resolvers) == 0 {
		c.bad(cure, "this host has no resolver that could find the parent zone")
		return nil
	}
	name, err := parseName(c.d.Zone)
	if err != nil {
		c.bad(cure, "the zone %q %v", c.d.Zone, err)
		return nil
	}
	for up := name.parent(); up != rootName; up = up.parent() {
		m, err := c.resolve(ctx, up.String(), typeNS)
		if err != nil {
			c.bad(cure, "the resolvers (%s) do not reach the parent zone: %v", strings.Join(c.Resolvers, ", "), err)
			return nil
		}
		hosts := nsHosts(m.Answer, up.String())
		if len(hosts) == 0 {
			continue // no zone of its own
		}
		c.d.Parent = up.String()
		var servers []string
		for _, host := range hosts {
			for _, a := range c.addresses(ctx, host) {
				servers = append(servers, c.at(a))
			}
		}
		if len(servers) == 0 {
			c.bad(cure, "the resolvers (%s) know no address of the servers of the parent zone %s: %s",
				strings.Join(c.Resolvers, ", "), trim(c.d.Parent), joinTrimmed(hosts))
		}
		return servers[:min(len(servers), maxParents)]
	}
	c.bad(cure, "the resolvers (%s) know no zone above %s", strings.Join(c.Resolvers, ", "), trim(c.d.Zone))
	return nil
}

// parent judges what one server of the parent zone says.
func (c *verification) parent(ctx context.Context, server string) {
	m, err := c.ask(ctx, server, "udp", c.d.Zone, typeNS, false)
	if err != nil {
		c.silent(err, "give --server the ip:port of a DNS server of the zone "+trim(c.d.Parent)+" that this host reaches",
			fmt.Sprintf("the parent's server %s does not answer", server))
		return
	}
	c.reached = true
	zone, parent := trim(c.d.Zone), trim(c.d.Parent)
	elsewhere := "name a DNS server of the zone " + parent + " with --server"
	held := nsHosts(m.Ns, c.d.Zone)
	switch own := nsHosts(m.Answer, c.d.Zone); {
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		c.bad(elsewhere, "%s answers %s: it does not serve the parent zone", server, rcodeText(m.Rcode))
	case len(own) > 0 && m.Authoritative && c.isOurs(server):
		c.good("%s has the zone %s itself", server, zone)
	case len(own) > 0 && m.Authoritative:
		c.bad("remove that zone there and add the records above", "%s holds a zone %s of its own instead of a delegation", server, zone)
	case len(own) > 0:
		c.bad(elsewhere, "%s is a resolver: it has the delegation, but cannot show what the parent holds", server)
	case len(held) > 0:
		c.compare("the delegation at "+server, held, "correct the NS records in the zone "+parent)
		c.takeGlue(server, m.Extra)
	case m.Authoritative:
		c.bad("add the records above to the zone "+parent, "%s has no delegation of %s", server, zone)
	default:
		c.bad(elsewhere, "%s does not serve the parent zone", server)
	}
}

// isOurs says whether a server is one of the zone's own.
func (c *verification) isOurs(server string) bool {
	at, err := netip.ParseAddrPort(server)
	return err == nil && slices.ContainsFunc(c.d.NS, func(ns NameServer) bool {
		return slices.Contains(ns.Addresses, at.Addr())
	})
}

// compare judges a set of name servers.
func (c *verification) compare(what string, held []string, cure string) {
	var want []string
	for _, ns := range c.d.NS {
		want = append(want, ns.Host)
	}
	ok := true
	for _, h := range want {
		if !slices.Contains(held, h) {
			ok = false
			c.bad(cure, "%s lacks %s", what, trim(h))
		}
	}
	for _, h := range held {
		if !slices.Contains(want, h) {
			ok = false
			c.bad(cure, "%s names %s, which is none of the zone's name servers", what, trim(h))
		}
	}
	if ok {
		c.good("%s names %s", what, joinTrimmed(want))
	}
}

// takeGlue keeps the addresses that came with a delegation and judges those that must be there.
func (c *verification) takeGlue(server string, extra []dns.RR) {
	for _, ns := range c.d.NS {
		held := addressesOf(extra, ns.Host)
		for _, a := range held {
			if !slices.Contains(c.glue[ns.Host], a) {
				c.glue[ns.Host] = append(c.glue[ns.Host], a)
			}
		}
		if !ns.Glue {
			continue
		}
		cure := fmt.Sprintf("in the zone %s, give %s the address %s and no other", trim(c.d.Parent), trim(ns.Host), joinAddrs(ns.Addresses))
		switch {
		case len(held) == 0:
			c.bad(cure, "%s has no address (glue) of %s", server, trim(ns.Host))
		case !sameSet(held, ns.Addresses):
			c.bad(cure, "%s has the address %s (glue) of %s, and the zone itself has %s",
				server, joinAddrs(held), trim(ns.Host), joinAddrs(ns.Addresses))
		default:
			c.good("%s has the address %s (glue) of %s", server, joinAddrs(held), trim(ns.Host))
		}
	}
}

// nameServer judges one server of the zone at each of its addresses: those that the parent gives,
// because that is where the world goes.
func (c *verification) nameServer(ctx context.Context, ns NameServer, parents []string) {
	addrs := c.glue[ns.Host]
	if len(addrs) == 0 {
		addrs = ns.Addresses
	}
	for _, server := range parents {
		if len(addrs) == 0 {
			addrs = c.addressesAt(ctx, server, ns.Host, false)
		}
	}
	if len(addrs) == 0 {
		addrs = c.addresses(ctx, ns.Host)
	}
	if len(addrs) == 0 {
		c.bad("give it an A or AAAA record in its own zone", "nobody knows an address of the name server %s", trim(ns.Host))
		return
	}
	for _, a := range addrs {
		c.address(ctx, trim(ns.Host)+" at "+c.at(a), c.at(a))
	}
	c.someReached("the zone at " + trim(ns.Host))
}

// address judges one address of a name server, over UDP and TCP.
func (c *verification) address(ctx context.Context, what, server string) {
	ok := true
	var serial uint32
	for _, network := range []string{"udp", "tcp"} {
		m, err := c.ask(ctx, server, network, c.d.Zone, dns.TypeSOA, false)
		if err != nil {
			ok = false
			c.silent(err, fmt.Sprintf("start gtm there, let [gtm] listen have this address, and let %s port %s through", strings.ToUpper(network), portOf(server)),
				fmt.Sprintf("%s does not answer over %s", what, strings.ToUpper(network)))
			if noWay(err) {
				return
			}
			continue
		}
		c.reached = true
		soa := soaOf(m.Answer, c.d.Zone)
		if m.Rcode != dns.RcodeSuccess || !m.Authoritative || soa == nil {
			c.bad(fmt.Sprintf("give its gtm the [[gtm.zone]] %s, or take it out of the delegation", trim(c.d.Zone)),
				"%s is lame: it has no authority over %s (%s)", what, trim(c.d.Zone), rcodeText(m.Rcode))
			return
		}
		serial = soa.Serial
	}
	if !ok {
		return
	}
	c.good("%s answers with authority over UDP and TCP, serial %d", what, serial)
	c.answered = append(c.answered, soaSeen{what, serial})
	if m, err := c.ask(ctx, server, "udp", c.d.Zone, typeNS, false); err == nil {
		if held := nsHosts(m.Answer, c.d.Zone); !slices.Equal(held, sortedHosts(c.d.NS)) {
			c.compare(what, held, "give all gtm nodes the same [[gtm.zone]]")
		}
	}
}

// serials compares what the name servers have. Zones that are made from the configuration have the
// time of its file as serial and nobody transfers them, so that a difference harms nobody by itself.
func (c *verification) serials() {
	for _, s := range c.answered {
		if first := c.answered[0]; s.serial != first.serial {
			c.findings = append(c.findings, Finding{
				Mark: Odd,
				What: fmt.Sprintf("the name servers have different versions of the zone: %s has serial %d, %s has %d", first.where, first.serial, s.where, s.serial),
				Cure: "see that all gtm nodes have the same zones and names",
			})
		}
	}
}
