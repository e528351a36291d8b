package gtm

import (
	"github.com/miekg/dns"
)

// zone is one zone as served: immutable once compiled.
type zone struct {
	origin wireName
	nodes  map[wireName]*node // every name that exists, empty non-terminals included
	apex   *node
	soa    *dns.SOA // as it stands in negative answers: TTL = min(TTL, MINIMUM), RFC 2308
}

// node is a name that exists.
type node struct {
	sets []rrset
	// wild is the child "*" of this node, if there is one (RFC 4592).
	wild *node
	// steer answers A and AAAA, service answers SRV; both hide what the zone file has of
	// these types.
	steer   *steered
	service *service
	// host narrows A and AAAA of the zone to members that serve.
	host *memberHost
}

// rrset is all records of one type at one name.
type rrset struct {
	typ uint16
	rrs []dns.RR
}

// get returns the records of a type.
func (n *node) get(typ uint16) []dns.RR {
	for _, s := range n.sets {
		if s.typ == typ {
			return s.rrs
		}
	}
	return nil
}

// match says what a name met in a zone.
type match uint8

const (
	matchNone     match = iota // the name does not exist: NXDOMAIN
	matchNode                  // it exists, possibly with no records of any type
	matchWildcard              // a wildcard stands in for it
	matchReferral              // it lies at or below a delegation
	matchDNAME                 // it lies below a DNAME
)

// find looks a name up that lies in the zone, from the apex down (RFC 1034 section 4.3.2, RFC
// 6672 section 3.2). For matchReferral and matchDNAME, cut is the owner of that record.
func (z *zone) find(name wireName, qtype uint16) (m match, n *node, cut wireName) {
	var path [128]wireName // a name of 255 octets has at most 127 labels
	depth := 0
	for at := name; at != z.origin; at = at.parent() {
		path[depth] = at
		depth++
	}
	n = z.apex
	if depth > 0 && n.get(typeDNAME) != nil {
		return matchDNAME, n, z.origin
	}
	for i := depth - 1; i >= 0; i-- {
		child := z.nodes[path[i]]
		if child == nil {
			if n.wild == nil {
				return matchNone, nil, ""
			}
			return matchWildcard, n.wild, ""
		}
		n = child
		// DS at the cut itself is the parent's own data (RFC 4035 section 3.1.4.1).
		if n.get(typeNS) != nil && (i > 0 || qtype != typeDS) {
			return matchReferral, n, path[i]
		}
		if i > 0 && n.get(typeDNAME) != nil {
			return matchDNAME, n, path[i]
		}
	}
	return matchNode, n, ""
}

// elsewhere says whether a name of the zone is answered by another one: it lies at or below a
// delegation, or below a DNAME.
func (z *zone) elsewhere(name wireName) bool {
	m, _, _ := z.find(name, typeNS)
	return m == matchReferral || m == matchDNAME
}

// ensure returns the node of a name and makes it, and the empty non-terminals above it, where
// they do not exist. Only compiling calls it.
func (z *zone) ensure(name wireName, store *zoneStore) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	n := store.nodes.next()
	z.nodes[name] = n
	parent := z.ensure(name.parent(), store)
	if name.isWildcard() {
		parent.wild = n
	}
	return n
}

// zoneStore is where the parts of zones come from while they are made.
type zoneStore struct {
	nodes   blocks[node]
	sets    blocks[rrset]
	records blocks[dns.RR]
}

// add puts a record into its set.
func (n *node) add(rr dns.RR, store *zoneStore) {
	typ := rr.Header().Rrtype
	for i := range n.sets {
		if n.sets[i].typ == typ {
			n.sets[i].rrs = append(n.sets[i].rrs, rr)
			return
		}
	}
	one := store.records.one()
	one[0] = rr
	if n.sets == nil {
		n.sets = store.sets.one()[:0]
	}
	n.sets = append(n.sets, rrset{typ, one})
}

// oneTTL gives a set, whose records share one TTL, and a record that joins it the lower of the
// two TTLs (RFC 2181 section 5.2).
func oneTTL(set []dns.RR, rr dns.RR) {
	if len(set) == 0 {
		return
	}
	h, ttl := rr.Header(), set[0].Header().Ttl
	if h.Ttl >= ttl {
		h.Ttl = ttl
		return
	}
	for _, other := range set {
		other.Header().Ttl = h.Ttl
	}
}

// drop removes the records of the given types.
func (n *node) drop(types ...uint16) {
	kept := n.sets[:0]
	for _, s := range n.sets {
		hidden := false
		for _, t := range types {
			hidden = hidden || s.typ == t
		}
		if !hidden {
			kept = append(kept, s)
		}
	}
	n.sets = kept
}

// negativeSOA is the SOA record of negative answers (RFC 2308 section 5).
func negativeSOA(soa *dns.SOA) *dns.SOA {
	out := *soa
	out.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return &out
}

// newZone makes a zone with only an apex; the caller adds SOA and NS.
func newZone(origin wireName) *zone {
	apex := &node{}
	return &zone{origin: origin, apex: apex, nodes: map[wireName]*node{origin: apex}}
}

// Values of a synthesised zone. Its SOA serial follows the configuration and never health, which
// is not zone data. The negative TTL stays short because a steered name may be
// added at any reload.
const (
	synthTTL     = 3600
	synthRefresh = 3600
	synthRetry   = 600
	synthExpire  = 604800
	synthMinimum = 60
)

// synthZone makes the zone of a [[gtm.zone]] without a file: SOA and NS from the server names.
func synthZone(origin wireName, ns []string, serial uint32) *zone {
	z, store := newZone(origin), &zoneStore{}
	header := func(typ uint16) dns.RR_Header {
		return dns.RR_Header{Name: origin.String(), Rrtype: typ, Class: classIN, Ttl: synthTTL}
	}
	mbox := "hostmaster." + origin.String()
	if origin == rootName {
		mbox = "hostmaster."
	}
	soa := &dns.SOA{
		Hdr: header(dns.TypeSOA), Ns: dns.Fqdn(ns[0]), Mbox: mbox, Serial: serial,
		Refresh: synthRefresh, Retry: synthRetry, Expire: synthExpire, Minttl: synthMinimum,
	}
	z.apex.add(soa, store)
	z.soa = negativeSOA(soa)
	for _, host := range ns {
		z.apex.add(&dns.NS{Hdr: header(typeNS), Ns: dns.Fqdn(host)}, store)
	}
	return z
}
