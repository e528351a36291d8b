package gtm

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// deviation is a known and accepted difference from another server.
type deviation struct {
	name     string // server: what it does, why that is allowed
	servers  []string
	explains func(q asked1, ours, theirs view) bool
}

// deviations lists every difference that there is, with the reason why it may be.
var deviations = []deviation{
	{
		name:    "all: ANY may be answered by any set of the name (RFC 8482 section 4); ours is HINFO, an alias, or what the name has not",
		servers: peers,
		explains: func(q asked1, ours, theirs view) bool {
			harmless := len(ours.answer) <= 2 // one HINFO; a DNAME with the CNAME made from it
			return q.typ == typeANY && harmless && ours.aa == theirs.aa && strings.HasPrefix(theirs.rcode, ours.rcode)
		},
	},
	{
		name:    "PowerDNS: ANY over UDP is truncated (any-to-tcp), referrals with AA as well",
		servers: []string{"PowerDNS"},
		explains: func(q asked1, ours, theirs view) bool {
			return q.typ == typeANY && theirs.rcode == "NOERROR truncated" && len(theirs.answer) == 0
		},
	},
	{
		name:    "Knot, NSD: ANY below a DNAME goes on with the name that it makes; ours and BIND stop there, which is less to amplify",
		servers: []string{"Knot", "NSD"},
		explains: func(q asked1, ours, theirs view) bool {
			return q.typ == typeANY && renamed(ours.answer) && subset(ours.answer, theirs.answer)
		},
	},
	{
		name:    "PowerDNS: CNAME at a name that a DNAME or a wildcard makes goes on with the target; the CNAME is the answer (RFC 1034 section 4.3.2 step 3a)",
		servers: []string{"PowerDNS"},
		explains: func(q asked1, ours, theirs view) bool {
			return q.typ == typeCNAME && !q.zone.has(q.name) && ours.rcode == "NOERROR" && ours.aa && theirs.aa && subset(ours.answer, theirs.answer)
		},
	},
	{
		name:    "gdnsd: the SOA record itself has the TTL of negative answers",
		servers: []string{"gdnsd"},
		explains: func(q asked1, ours, theirs view) bool {
			return q.typ == dns.TypeSOA && len(ours.answer) == 1 && len(theirs.answer) == 1 &&
				strings.Replace(ours.answer[0], "\t300\t", "\t30\t", 1) == theirs.answer[0]
		},
	},
	{
		name:    "BIND: a negative answer to a SOA question has a SOA of TTL 0, against caches of 1990 (zero-no-soa-ttl); RFC 2308 section 3 has no such case",
		servers: []string{"BIND"},
		explains: func(q asked1, ours, theirs view) bool {
			if q.typ != dns.TypeSOA || len(ours.soa) != 1 || len(theirs.soa) != 1 {
				return false
			}
			mine, other := strings.Split(ours.soa[0], "\t"), strings.Split(theirs.soa[0], "\t")
			zero := other[1] == "0"
			other[1] = mine[1]
			theirs.soa = []string{strings.Join(other, "\t")}
			return zero && ours.equal(theirs)
		},
	},
	{
		name:    "BIND, PowerDNS: a circle of aliases is SERVFAIL; Knot and NSD, as ours, answer the records (RFC 1034 section 3.6.2 asks only not to fail)",
		servers: []string{"BIND", "PowerDNS"},
		explains: func(q asked1, ours, theirs view) bool {
			return theirs.rcode == "SERVFAIL" && ours.rcode == "NOERROR" && len(ours.soa) == 0 && circle(q.name, ours.answer)
		},
	},
	{
		name:    "BIND, Knot: an alias into another zone of the same server is not followed; NSD and PowerDNS, as ours, save the resolver that question",
		servers: []string{"BIND", "Knot"},
		explains: func(q asked1, ours, theirs view) bool {
			return theirs.rcode == "NOERROR" && theirs.aa && ours.aa && subset(theirs.answer, ours.answer) && crosses(theirs.answer)
		},
	},
	{
		name:    "BIND, Knot, PowerDNS: a chain of more than 11, 5 or 10 aliases is given up; ours follows 16",
		servers: []string{"BIND", "Knot", "PowerDNS"},
		explains: func(q asked1, ours, theirs view) bool {
			switch n := aliases(theirs.answer); {
			case ours.rcode != "NOERROR" && ours.rcode != "NXDOMAIN":
				return false
			case theirs.rcode == "NOERROR": // Knot
				return n == 5 && subset(theirs.answer, ours.answer)
			}
			return theirs.rcode == "SERVFAIL" && aliases(ours.answer) > 10
		},
	},
	{
		name:    "NSD: follows more than 16 aliases; the rest of ours is the resolver's",
		servers: []string{"NSD"},
		explains: func(q asked1, ours, theirs view) bool {
			return aliases(ours.answer) == maxHops+1 && subset(ours.answer, theirs.answer)
		},
	},
	{
		name:    "gdnsd: aliases are not followed since version 3.4; a resolver does that itself (RFC 1034 section 4.3.2 step 3a follows)",
		servers: []string{"gdnsd"},
		explains: func(q asked1, ours, theirs view) bool {
			return theirs.rcode == "NOERROR" && theirs.aa && len(theirs.answer) == 1 &&
				strings.Contains(theirs.answer[0], "\tcname\t") && slices.Contains(ours.answer, theirs.answer[0])
		},
	},
	{
		name:    "gdnsd: DS at a delegation is a referral; it belongs to the parent, which answers with authority (RFC 4035 section 3.1.4.1)",
		servers: []string{"gdnsd"},
		explains: func(q asked1, ours, theirs view) bool {
			return q.typ == typeDS && ours.aa && !theirs.aa && len(theirs.ns) > 0 && len(ours.soa) == 1
		},
	},
}

// has says whether the zone has records of exactly that name.
func (z *randomZone) has(name string) bool {
	return slices.ContainsFunc(z.lines, func(line string) bool {
		owner, _, _ := strings.Cut(line, " ")
		return strings.EqualFold(owner, name)
	})
}

// subset says whether the records of a, of which there are some, are all in b.
func subset(a, b []string) bool {
	return len(a) > 0 && !slices.ContainsFunc(a, func(rr string) bool { return !slices.Contains(b, rr) })
}

// renamed says whether an answer is made by a DNAME.
func renamed(answer []string) bool {
	return slices.ContainsFunc(answer, func(rr string) bool { return strings.Contains(rr, "\tdname\t") })
}

// aliases counts the CNAME records of an answer.
func aliases(answer []string) int {
	n := 0
	for _, rr := range answer {
		if strings.Contains(rr, "\tcname\t") {
			n++
		}
	}
	return n
}

// crosses says whether an alias leads into the zone below which random zones point.
func crosses(answer []string) bool {
	return slices.ContainsFunc(answer, func(rr string) bool {
		f := strings.Split(rr, "\t")
		return f[3] == "cname" && within(strings.TrimSuffix(f[4], "."), "child.zone1.example")
	})
}

// circle says whether the aliases of an answer lead from a name back to one that they passed.
func circle(name string, answer []string) bool {
	next := map[string]string{}
	for _, rr := range answer {
		if f := strings.Split(rr, "\t"); f[3] == "cname" {
			next[f[0]] = f[4]
		}
	}
	seen := map[string]bool{}
	for at := strings.ToLower(name); at != ""; at = next[at] {
		if seen[at] {
			return true
		}
		seen[at] = true
	}
	return false
}

// explained gives the name of the deviation that explains a difference, or "".
func explained(server string, q asked1, ours, theirs view) string {
	for _, d := range deviations {
		for _, s := range d.servers {
			if s == server && d.explains(q, ours, theirs) {
				return d.name
			}
		}
	}
	return ""
}
