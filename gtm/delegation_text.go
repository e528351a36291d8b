package gtm

import (
	"fmt"
	"net/netip"
	"strings"
)

// parentRecordTTL is the TTL of the printed records, in seconds.
const parentRecordTTL = 3600

// Lines gives the records for the parent zone as its admin enters them: as a master file of BIND
// has them, and as commands for the DNS of Active Directory, of Windows and of Samba.
func (d Delegation) Lines() []string {
	out := []string{fmt.Sprintf("delegation of %s, for the zone %s", trim(d.Zone), trim(d.Parent))}
	section := func(title string, lines []string) {
		out = append(out, "", title)
		for _, l := range lines {
			out = append(out, "  "+l)
		}
	}
	section("BIND, in the zone file (raise its serial):", d.bind())
	section("Active Directory, PowerShell on a DNS server:", d.powershell())
	section("Active Directory, the older dnscmd:", d.dnscmd())
	section("Samba:", d.samba())
	for _, ns := range d.NS {
		if !ns.Glue && len(ns.Addresses) == 0 {
			out = append(out, "", fmt.Sprintf("%s lies outside of %s: it needs an address (A or AAAA) in its own zone.", trim(ns.Host), trim(d.Zone)))
		}
	}
	return out
}

// bind is the form of RFC 1035 section 5.
func (d Delegation) bind() []string {
	var out []string
	for _, ns := range d.NS {
		out = append(out, fmt.Sprintf("%s %d IN NS %s", d.Zone, parentRecordTTL, ns.Host))
	}
	for _, ns := range d.NS {
		for _, a := range ns.Addresses {
			if d.holds(ns) {
				out = append(out, fmt.Sprintf("%s %d IN %s %s", ns.Host, parentRecordTTL, family(a), a))
			}
		}
	}
	return out
}

// powershell is the form of Add-DnsServerZoneDelegation, which wants an address for each server.
func (d Delegation) powershell() []string {
	var out []string
	for _, ns := range d.NS {
		addresses := fmt.Sprintf("(Resolve-DnsName '%s' -Type A_AAAA).IPAddress", trim(ns.Host))
		if len(ns.Addresses) > 0 {
			texts := make([]string, len(ns.Addresses))
			for i, a := range ns.Addresses {
				texts[i] = a.String()
			}
			addresses = strings.Join(texts, ",")
		}
		out = append(out, fmt.Sprintf("Add-DnsServerZoneDelegation -Name '%s' -ChildZoneName '%s' -NameServer '%s' -IPAddress %s",
			trim(d.Parent), d.child(d.Zone), trim(ns.Host), addresses))
	}
	return out
}

func (d Delegation) dnscmd() []string {
	return d.commands(func(name, typ, data string) string {
		return fmt.Sprintf("dnscmd /RecordAdd %s %s %s %s", trim(d.Parent), name, typ, data)
	})
}

func (d Delegation) samba() []string {
	return d.commands(func(name, typ, data string) string {
		return fmt.Sprintf("samba-tool dns add SERVER %s %s %s %s -U Administrator", trim(d.Parent), name, typ, trim(data))
	})
}

// commands is one command for each record, with names relative to the parent zone.
func (d Delegation) commands(command func(name, typ, data string) string) []string {
	var out []string
	for _, ns := range d.NS {
		out = append(out, command(d.child(d.Zone), "NS", ns.Host))
	}
	for _, ns := range d.NS {
		for _, a := range ns.Addresses {
			if d.holds(ns) {
				out = append(out, command(d.child(ns.Host), family(a), a.String()))
			}
		}
	}
	return out
}

// holds says whether the parent zone is where a server's addresses belong.
func (d Delegation) holds(ns NameServer) bool {
	return ns.Glue || d.Parent == "." || strings.HasSuffix(ns.Host, "."+d.Parent)
}

// child is a name relative to the parent zone.
func (d Delegation) child(name string) string {
	if d.Parent == "." {
		return trim(name)
	}
	return strings.TrimSuffix(name, "."+d.Parent)
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "A"
	}
	return "AAAA"
}

func trim(name string) string { return strings.TrimSuffix(name, ".") }
