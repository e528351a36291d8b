package gtm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Delegation is what the parent zone must hold so that the world asks us for a zone of ours
// (RFC 1034 section 4.2.1).
type Delegation struct {
	Zone   string       `json:"zone"`   // with the final dot
	Parent string       `json:"parent"` // the zone that should hold the records, as far as the name alone shows it
	NS     []NameServer `json:"ns"`
}

// NameServer is a name server of a zone.
type NameServer struct {
	Host string `json:"host"` // with the final dot
	// Addresses are those that our zones have of it; none where its address is another zone's.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Glue says that the host lies in the delegated zone itself, so that the parent must hold its
	// addresses (RFC 9471).
	Glue bool `json:"glue"`
}

// directoryLabels are the sub-domains that Active Directory keeps in the zone of a domain (MS-ADTS
// section 6.3.2, DNS record registrations).
var directoryLabels = [...]string{"_tcp", "_udp", "_sites", "_msdcs", "domaindnszones", "forestdnszones"}

// Delegations are the delegations for a name: of the zone itself, and where a steered name stands
// at its apex those of the zones in which the name's services have zones of their own (GT11).
func (t *Table) Delegations(name string) ([]Delegation, error) {
	n, err := parseName(name)
	if err != nil {
		return nil, fmt.Errorf("the name %q %w; write it as in cb.company.com", name, err)
	}
	if err := notOfTheDirectory(n); err != nil {
		return nil, err
	}
	z := t.zones[n]
	if z == nil {
		return nil, t.noZone(n)
	}
	out := []Delegation{t.delegation(z)}
	if z.apex.steer == nil {
		return out, nil
	}
	var services []wireName
	for origin, other := range t.zones {
		if s := other.apex.service; s != nil && s.of == z.apex.steer && origin != n && notOfTheDirectory(origin) == nil {
			services = append(services, origin)
		}
	}
	slices.Sort(services)
	for _, origin := range services {
		out = append(out, t.delegation(t.zones[origin]))
	}
	return out, nil
}

// notOfTheDirectory refuses the names that belong to Active Directory.
func notOfTheDirectory(n wireName) error {
	if n == rootName || n.parent() == rootName {
		return fmt.Errorf("%s is nobody's to delegate; name a zone below your own domain, such as cb.company.com", n)
	}
	first := string(n[1 : 1+int(n[0])])
	if !slices.Contains(directoryLabels[:], first) {
		return nil
	}
	return fmt.Errorf("%s belongs to Active Directory: the domain controllers register there where they are (_ldap._tcp, _kerberos._tcp, ...), "+
		"and with the name delegated to us no computer would find them; delegate only the name of the service itself, such as %s",
		bare(n), bare("\x12_connection_broker\x04_tcp"+n.parent()))
}

// noZone says why a name has no delegation.
func (t *Table) noZone(n wireName) error {
	add := fmt.Sprintf("add [[gtm.zone]] with origin = %q and ns = [\"ns1.company.com\", ...]", bare(n))
	if z := t.holder(n); z != nil {
		return fmt.Errorf("%s is not a zone of its own: it lies in the zone %s; delegate that one (`gtm delegation %s`), or %s",
			bare(n), bare(z.origin), bare(z.origin), add)
	}
	return fmt.Errorf("%s lies in none of the zones of this node; %s", bare(n), add)
}

// bare is a name as people type it, without the final dot.
func bare(n wireName) string { return strings.TrimSuffix(n.String(), ".") }

// delegation reads a zone's name servers.
func (t *Table) delegation(z *zone) Delegation {
	d := Delegation{Zone: z.origin.String(), Parent: usualParent(z.origin).String()}
	for _, rr := range z.apex.get(typeNS) {
		host := rr.(*dns.NS).Ns
		ns := NameServer{Host: dns.CanonicalName(host)}
		if name, err := parseName(host); err == nil {
			ns.Glue = name.under(z.origin)
			ns.Addresses = t.staticAddresses(name)
		}
		d.NS = append(d.NS, ns)
	}
	slices.SortFunc(d.NS, func(a, b NameServer) int { return strings.Compare(a.Host, b.Host) })
	return d
}

// usualParent is the zone above: names that begin with an underscore are seldom zones, so that
// the parent of _connection_broker._tcp.company.com is company.com.
func usualParent(origin wireName) wireName {
	up := origin.parent()
	for up != rootName && up[1] == '_' {
		up = up.parent()
	}
	return up
}

// staticAddresses are the addresses that our zones have of a host.
func (t *Table) staticAddresses(name wireName) []netip.Addr {
	z := t.holder(name)
	if z == nil {
		return nil
	}
	n := z.nodes[name]
	if n == nil {
		return nil
	}
	var out []netip.Addr
	for _, typ := range [...]uint16{typeA, typeAAAA} {
		for _, rr := range n.get(typ) {
			if a, ok := addressOf(rr); ok {
				out = append(out, a)
			}
		}
	}
	return out
}
