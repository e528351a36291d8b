package gtm

import (
	"net/netip"

	"github.com/miekg/dns"
)

// addressRecord makes the A or AAAA record of an address.
func addressRecord(owner string, addr netip.Addr, ttl uint32) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: dns.RR_Header{Name: owner, Rrtype: typeA, Class: classIN, Ttl: ttl}, A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: dns.RR_Header{Name: owner, Rrtype: typeAAAA, Class: classIN, Ttl: ttl}, AAAA: addr.AsSlice()}
}

// addressOf reads the address of an A or AAAA record.
func addressOf(rr dns.RR) (netip.Addr, bool) {
	var raw []byte
	switch r := rr.(type) {
	case *dns.A:
		raw = r.A.To4()
	case *dns.AAAA:
		raw = r.AAAA.To16()
	}
	return netip.AddrFromSlice(raw)
}

// addressRecords are the steered addresses of one family.
func addressRecords(owner string, s *steered, d decision, ipv6 bool, draw uint64) []dns.RR {
	addrs := d.addresses(ipv6, draw)
	out := make([]dns.RR, len(addrs))
	for i, a := range addrs {
		out[i] = addressRecord(owner, a, s.ttl)
	}
	return out
}

// serviceRecords are the SRV records of a service and, for ADDITIONAL, the addresses of their
// targets: only of members that serve.
func serviceRecords(owner string, svc *service, d decision, draw uint64) (answer, extra []dns.RR) {
	s := svc.of
	header := dns.RR_Header{Name: owner, Rrtype: typeSRV, Class: classIN, Ttl: s.ttl}
	if svc.byName {
		extra = addressRecords(s.display, s, d, false, draw)
		extra = append(extra, addressRecords(s.display, s, d, true, draw)...)
		if len(extra) == 0 {
			return nil, nil
		}
		return []dns.RR{&dns.SRV{Hdr: header, Weight: 1, Port: svc.port, Target: s.display}}, extra
	}
	seen := map[string]bool{} // one host may serve at several ports
	for _, t := range d.targets() {
		answer = append(answer, &dns.SRV{
			Hdr: header, Priority: t.priority, Weight: t.weight, Port: t.port, Target: t.host,
		})
		for _, a := range t.addrs {
			if key := t.host + a.String(); !seen[key] {
				seen[key] = true
				extra = append(extra, addressRecord(t.host, a, s.ttl))
			}
		}
	}
	return answer, extra
}

// chaosRecord is the TXT record that says something of the server itself: TTL 0, since a
// resolver must not keep it for the next server at this address.
func chaosRecord(owner, text string) dns.RR {
	return &dns.TXT{Hdr: dns.RR_Header{Name: owner, Rrtype: typeTXT, Class: classCH}, Txt: []string{text}}
}

// shuffled puts records into an order that draw chooses, each order equally likely (Fisher and
// Yates), so that clients that take the first one spread over all. Zero keeps the order. After
// some twenty records the draw is used up and the rest stays.
func shuffled(rrs []dns.RR, draw uint64) []dns.RR {
	for i := len(rrs) - 1; i > 0; i-- {
		n := uint64(i + 1)
		j := i - int(draw%n)
		draw /= n
		rrs[i], rrs[j] = rrs[j], rrs[i]
	}
	return rrs
}

// owned gives records with another owner name: that of the question, in the client's own case,
// or the name that a wildcard stands in for. The records of the zone are never changed.
func owned(rrs []dns.RR, owner string) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		if rr.Header().Name != owner {
			rr = dns.Copy(rr)
			rr.Header().Name = owner
		}
		out[i] = rr
	}
	return out
}
