package gtm

import (
	"fmt"
	"net/netip"

	"github.com/miekg/dns"

	"switchpoint/gtm/place"
	"switchpoint/gtm/steer"
)

// maxHops bounds a chain of CNAME and DNAME records.
const maxHops = 16

// anyTTL is the TTL of the HINFO record that answers ANY (RFC 8482 section 4.2).
const anyTTL = 3600

// Question is all that an answer may depend on besides table and snapshot.
type Question struct {
	Name   string // presentation form, absolute; its case comes back in the answer
	Type   uint16
	Class  uint16 // 0 counts as IN
	Client netip.Addr
	Subnet netip.Prefix // of the client subnet option (RFC 7871), invalid where it has none or is not to be used
	Domain string       // of the client's computer, where it is known (GT13)
	Draw   uint64       // uniform random bits, from the caller: Resolve has no randomness of its own
}

// Resolve answers a question: pure, with its reason (design section 3). A nil table is a
// server that has no configuration yet: SERVFAIL.
func Resolve(t *Table, view *steer.View, q Question) Answer {
	r := resolution{table: t, view: view, q: q}
	r.ans.Reason.Client, r.ans.Reason.Subnet, r.ans.Reason.Domain = q.Client, q.Subnet, q.Domain
	if t == nil {
		return r.fail(rcodeServFail, edeNotReady, "the server has no configuration yet")
	}
	switch q.Type {
	case dns.TypeAXFR, dns.TypeIXFR:
		return r.fail(rcodeRefused, edeProhibited, "zone transfers are refused")
	case dns.TypeMAILA, dns.TypeMAILB:
		return r.fail(rcodeNotImp, edeNotSupported, "the type is obsolete")
	case dns.TypeNone, typeOPT, dns.TypeTSIG, dns.TypeTKEY:
		return r.end(rcodeFormErr, "the type cannot be asked for")
	}
	name, err := parseName(q.Name)
	if err != nil {
		return r.end(rcodeFormErr, fmt.Sprintf("the name %q %v", q.Name, err))
	}
	switch q.Class {
	case 0, classIN:
		r.follow(name, q.Name)
	case classCH:
		r.chaos(name)
	default:
		r.fail(rcodeRefused, edeNotAuthoritative, "only the class IN is served")
	}
	return r.ans
}

// resolution is one Resolve under way.
type resolution struct {
	table *Table
	view  *steer.View
	q     Question
	ans   Answer
}

// end finishes the answer.
func (r *resolution) end(rcode int, what string) Answer {
	r.ans.Rcode = rcode
	r.ans.Reason.What = what
	return r.ans
}

// fail is end with an extended error.
func (r *resolution) fail(rcode int, code uint16, what string) Answer {
	r.extend(code, "")
	return r.end(rcode, what)
}

func (r *resolution) extend(code uint16, text string) {
	r.ans.Extended = append(r.ans.Extended, ExtendedError{code, text})
}

// chaos says who this server is (RFC 4892), as far as the configuration shows it.
func (r *resolution) chaos(name wireName) {
	var text string
	switch name {
	case "\x02id\x06server\x00", "\x08hostname\x04bind\x00":
		text = r.table.settings().nsid
	case "\x07version\x04bind\x00", "\x07version\x06server\x00":
		text = r.table.settings().version
	default:
		r.fail(rcodeRefused, edeNotAuthoritative, "class CH has only the names of the server itself")
		return
	}
	if text == "" {
		r.fail(rcodeRefused, edeProhibited, "the configuration hides this")
		return
	}
	r.ans.Authoritative = true
	if r.q.Type == typeTXT || r.q.Type == typeANY {
		r.ans.Answer = append(r.ans.Answer, chaosRecord(r.q.Name, text))
	}
	r.end(rcodeNoError, "the server itself")
}

// follow answers a name, and where that is an alias the name that it points at: within our
// zones, at most maxHops times, never twice the same name. Where the chain leaves our zones or
// goes in a circle, the records so far are the answer.
func (r *resolution) follow(name wireName, owner string) {
	visited := map[wireName]bool{}
	for hop := 0; hop <= maxHops; hop++ {
		z := r.table.zoneFor(name, r.q.Type)
		switch {
		case z == nil && hop == 0:
			r.fail(rcodeRefused, edeNotAuthoritative, "the name lies in none of the zones")
			return
		case z == nil:
			r.end(rcodeNoError, "the alias leaves our zones")
			return
		case visited[name]:
			r.end(rcodeNoError, "the aliases go in a circle")
			return
		}
		if hop == 0 {
			r.ans.Version = ZoneVersion{Known: true, Labels: uint8(z.origin.labels()), Serial: z.soa.Serial}
		}
		visited[name] = true
		r.ans.Reason.Zone = z.origin.String()
		next, alias := r.step(z, name, owner)
		if alias == "" {
			return
		}
		name, owner = next, alias
	}
	r.end(rcodeNoError, "the chain of aliases is too long")
}

// step answers one name in its zone. For an alias it returns the name to go on with, and its
// presentation form; that is empty when the answer is complete.
func (r *resolution) step(z *zone, name wireName, owner string) (wireName, string) {
	m, n, cut := z.find(name, r.q.Type)
	if m == matchReferral {
		r.referral(z, n, cut)
		return "", ""
	}
	r.ans.Authoritative = true
	switch m {
	case matchNone:
		r.negative(z, rcodeNXDomain, "the name does not exist")
		return "", ""
	case matchDNAME:
		return r.dname(n, name, owner, cut)
	}
	// What a CNAME may have beside it (RRSIG, NSEC, KEY) is answered itself (RFC 4035 section 2.5).
	if alias := n.get(typeCNAME); alias != nil && n.get(r.q.Type) == nil {
		return r.cname(alias, owner)
	}
	r.node(z, n, owner, m)
	return "", ""
}

// cname adds an alias and gives its target. ANY stops at it (RFC 8482 section 4.2).
func (r *resolution) cname(alias []dns.RR, owner string) (wireName, string) {
	r.ans.Answer = append(r.ans.Answer, owned(alias, owner)...)
	target := alias[0].(*dns.CNAME).Target
	next, err := parseName(target)
	if err != nil || r.q.Type == typeANY {
		r.end(rcodeNoError, "the name is an alias")
		return "", ""
	}
	r.ans.Reason.Hops = append(r.ans.Reason.Hops, owner+" is an alias of "+target)
	return next, target
}

// dname adds a DNAME and the CNAME made from it (RFC 6672 section 3.1). A target that grows
// too long is YXDOMAIN.
func (r *resolution) dname(n *node, name wireName, owner string, cut wireName) (wireName, string) {
	rr := n.get(typeDNAME)[0]
	r.ans.Answer = append(r.ans.Answer, rr)
	base, err := parseName(rr.(*dns.DNAME).Target)
	if err != nil {
		r.end(rcodeServFail, "the DNAME has a broken target")
		return "", ""
	}
	next := name[:len(name)-len(cut)] + base
	if len(next) > maxName {
		r.end(dns.RcodeYXDomain, "the name that the DNAME makes is too long")
		return "", ""
	}
	target := next.String()
	r.ans.Answer = append(r.ans.Answer, &dns.CNAME{
		Hdr:    dns.RR_Header{Name: owner, Rrtype: typeCNAME, Class: classIN, Ttl: rr.Header().Ttl},
		Target: target,
	})
	r.ans.Reason.Hops = append(r.ans.Reason.Hops, owner+" is renamed to "+target+" by the DNAME at "+cut.String())
	if r.q.Type == typeCNAME || r.q.Type == typeANY {
		r.end(rcodeNoError, "the name is an alias made from a DNAME")
		return "", ""
	}
	return next, target
}

// node answers from a name that exists (or from the wildcard that stands in for it).
func (r *resolution) node(z *zone, n *node, owner string, m match) {
	what := "zone data"
	if m == matchWildcard {
		what = "zone data, from a wildcard"
	}
	switch {
	case r.q.Type == typeANY:
		r.any(z, n, owner)
	case n.steer != nil && (r.q.Type == typeA || r.q.Type == typeAAAA):
		r.steer(z, n.steer, "steered addresses", func(d steer.Decision) ([]dns.RR, []dns.RR) {
			return addressRecords(owner, d, r.q.Type == typeAAAA), nil
		})
	case n.service != nil && r.q.Type == typeSRV:
		r.steer(z, n.service.of, "steered services", func(d steer.Decision) ([]dns.RR, []dns.RR) {
			return serviceRecords(owner, n.service, d)
		})
	default:
		rrs := r.records(n, r.q.Type)
		if len(rrs) == 0 {
			r.negative(z, rcodeNoError, "the name exists, but has no records of this type")
			return
		}
		r.ans.Answer = append(r.ans.Answer, shuffled(owned(rrs, owner), steer.Unrelated(r.q.Draw))...)
		r.ans.Extra = r.targets(rrs)
		r.end(rcodeNoError, what)
	}
}

// any answers ANY with one HINFO record (RFC 8482): nothing to amplify.
func (r *resolution) any(z *zone, n *node, owner string) {
	if len(n.sets) == 0 && n.steer == nil && n.service == nil {
		r.negative(z, rcodeNoError, "the name exists, but has no records")
		return
	}
	r.ans.Answer = append(r.ans.Answer, &dns.HINFO{
		Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeHINFO, Class: classIN, Ttl: anyTTL}, Cpu: "RFC8482",
	})
	r.end(rcodeNoError, "ANY is answered with HINFO (RFC 8482)")
}

// steer decides for this client and turns the decision into records.
func (r *resolution) steer(z *zone, s *steered, what string, records func(steer.Decision) (answer, extra []dns.RR)) {
	p, d := r.decide(s)
	r.ans.Reason.steering(r.table, s, p, d)
	switch {
	case d.Policy() != "":
		r.extend(edeOther, "all members are down, policy "+d.Policy())
	case r.table.settings().synthesized:
		r.extend(edeSynthesized, "")
	}
	if d.Policy() == steer.AllDownServFail {
		r.ans.Answer, r.ans.Authoritative, r.ans.Scope = nil, false, 0
		r.end(rcodeServFail, "all members are down and the policy is SERVFAIL")
		return
	}
	answer, extra := records(d)
	if len(answer) == 0 {
		why := "no member that serves has an address of this family"
		if d.Policy() != "" {
			why = "all members are down, and the policy " + d.Policy() + " has nothing of this type"
		}
		r.negative(z, rcodeNoError, why)
		return
	}
	r.ans.Answer = append(r.ans.Answer, answer...)
	r.ans.Extra = extra
	r.end(rcodeNoError, what)
}

// decide finds the client's place and decides for it. The answer's scope is then one for which
// both hold.
func (r *resolution) decide(s *steered) (place.Place, steer.Decision) {
	p := r.table.places.Find(place.Client{Address: r.q.Client, Subnet: r.q.Subnet, Domain: r.q.Domain})
	network := p.Scope
	if r.table.steering.Hashes(s.index) {
		network = r.q.hashed(&p)
	}
	r.ans.Scope = max(r.ans.Scope, p.Scope.Bits()) // of several names in one answer the longest
	return p, r.view.Decide(s.index, steer.Client{Order: p.Order, Network: network, Draw: r.q.Draw})
}

// targets are the addresses of what static SRV records point at, where that is ours to say:
// it saves the client a second question. Steered names are steered here as well.
func (r *resolution) targets(rrs []dns.RR) []dns.RR {
	var extra []dns.RR
	seen := map[wireName]bool{}
	for _, rr := range rrs {
		srv, ok := rr.(*dns.SRV)
		if !ok {
			return nil
		}
		name, err := parseName(srv.Target)
		if err != nil || seen[name] {
			continue
		}
		seen[name] = true
		extra = append(extra, r.addresses(name, srv.Target)...)
	}
	return extra
}

// addresses are A and AAAA of a name in our zones, for ADDITIONAL.
func (r *resolution) addresses(name wireName, owner string) []dns.RR {
	z := r.table.holder(name)
	if z == nil {
		return nil
	}
	m, n, _ := z.find(name, typeA)
	if m != matchNode && m != matchWildcard {
		return nil
	}
	if n.steer != nil {
		_, d := r.decide(n.steer)
		return append(addressRecords(owner, d, false), addressRecords(owner, d, true)...)
	}
	return append(owned(r.records(n, typeA), owner), owned(r.records(n, typeAAAA), owner)...)
}

// referral points at the servers of a delegated zone, with the addresses that the zone has of
// them: first those within the delegated zone, which nobody can find elsewhere, then those of
// siblings, which are a courtesy (RFC 9471 section 3).
func (r *resolution) referral(z *zone, n *node, cut wireName) {
	ns := n.get(typeNS)
	r.ans.Ns = append(r.ans.Ns, ns...)
	var siblings []dns.RR
	for _, rr := range ns {
		name, err := parseName(rr.(*dns.NS).Ns)
		if err != nil || !name.under(z.origin) {
			continue
		}
		glue := z.nodes[name]
		switch {
		case glue == nil:
		case name.under(cut):
			r.ans.Extra = append(append(r.ans.Extra, glue.get(typeA)...), glue.get(typeAAAA)...)
		default:
			siblings = append(append(siblings, glue.get(typeA)...), glue.get(typeAAAA)...)
		}
	}
	r.ans.ExtraNeeded = len(r.ans.Extra)
	r.ans.Extra = append(r.ans.Extra, siblings...)
	r.end(rcodeNoError, "delegated to other servers at "+cut.String())
}

// negative says that there is nothing, for how long (RFC 2308). Resolvers keep it for all
// networks, so the scope says that too (RFC 7871 section 7.4).
func (r *resolution) negative(z *zone, rcode int, what string) {
	r.ans.Ns = append(r.ans.Ns, z.soa)
	r.ans.Scope = 0
	r.end(rcode, what)
}
