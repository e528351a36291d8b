package gtm

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
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
func addressRecords(owner string, d steer.Decision, ipv6 bool) []dns.RR {
	addrs := d.Addresses(ipv6)
	ttl, _ := d.TTL()
	out := make([]dns.RR, len(addrs))
	for i, a := range addrs {
		out[i] = addressRecord(owner, a, ttl)
	}
	return out
}

// serviceRecords are the SRV records of a service and, for ADDITIONAL, the addresses of their
// targets: only of members that serve.
func serviceRecords(owner string, svc *service, d steer.Decision) (answer, extra []dns.RR) {
	s := svc.of
	ttl, _ := d.TTL()
	header := dns.RR_Header{Name: owner, Rrtype: typeSRV, Class: classIN, Ttl: ttl}
	if svc.byName {
		extra = addressRecords(s.display, d, false)
		extra = append(extra, addressRecords(s.display, d, true)...)
		if len(extra) == 0 {
			return nil, nil
		}
		return []dns.RR{&dns.SRV{Hdr: header, Weight: 1, Port: svc.port, Target: s.display}}, extra
	}
	targets := d.Targets()
	answer = make([]dns.RR, 0, len(targets))
	for i, t := range targets {
		answer = append(answer, &dns.SRV{
			Hdr: header, Priority: t.Priority, Weight: t.Weight, Port: t.Port, Target: t.Host,
		})
		for _, a := range t.Addresses {
			if !named(targets[:i], t.Host, a) {
				extra = append(extra, addressRecord(t.Host, a, ttl))
			}
		}
	}
	return answer, extra
}

// named says whether a host's address stands in targets already: it may serve at several ports.
func named(targets []steer.Target, host string, a netip.Addr) bool {
	for i := range targets {
		if targets[i].Host == host && slices.Contains(targets[i].Addresses, a) {
			return true
		}
	}
	return false
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
