package gtm

import (
	"fmt"
	"net/netip"

	"switchpoint/gtm/steer"
)

// name checks one [[gtm.name]].
func (v *validator) name(i int) {
	n := v.cfg.Names[i]
	path := fmt.Sprintf("name[%d]", i)
	if owner, ok := v.owner(path+".name", n.Name); ok {
		if first, dup := v.steered[owner]; dup {
			v.addf(path+".name", "merge the two", "%s is also name[%d]", n.Name, first)
		}
		v.steered[owner] = i
	}
	v.problems.Under(path, n.Validate())
	if len(n.Pools) == 0 {
		v.addf(path+".pool", "add a [[gtm.name.pool]] with members", "%s has no pool", n.Name)
	}
	inDatacenter, hosts := map[string]int{}, map[wireName]int{}
	for j, p := range n.Pools {
		at := fmt.Sprintf("%s.pool[%d]", path, j)
		v.datacenter(at+".datacenter", p.Datacenter)
		if first, dup := inDatacenter[p.Datacenter]; dup {
			v.addf(at+".datacenter", "merge the two", "%q is also the datacenter of pool[%d]", p.Datacenter, first)
		}
		inDatacenter[p.Datacenter] = j
		v.members(at, n, p)
		v.hosts(at, p, j, hosts)
	}
	v.fallback(path, n)
	for j, s := range n.SRV {
		v.service(fmt.Sprintf("%s.srv[%d]", path, j), n, s)
	}
}

// fallback checks the addresses of all_down = "fallback".
func (v *validator) fallback(path string, n Name) {
	seen := map[netip.Addr]int{}
	for j, f := range n.Fallback {
		at := fmt.Sprintf("%s.fallback[%d]", path, j)
		addr, err := memberAddr(f)
		if err != nil {
			v.addf(at, `write an IPv4 or IPv6 address, such as "192.0.2.80"`, "%q is no address to fall back to: %v", f, err)
			continue
		}
		if first, dup := seen[addr]; dup {
			v.addf(at, "remove one of them", "%s is also fallback[%d]", f, first)
		}
		seen[addr] = j
	}
}

// members checks the members of one pool.
func (v *validator) members(path string, n Name, p Pool) {
	if len(p.Members) == 0 {
		v.addf(path+".members", "add members, or remove the pool", "the pool of %s in %q has no members", n.Name, p.Datacenter)
	}
	seen := map[netip.AddrPort]int{}
	for k, m := range p.Members {
		at := fmt.Sprintf("%s.members[%d]", path, k)
		addr, err := memberAddr(m.Address)
		if err != nil {
			v.addf(at+".address", `write an IPv4 or IPv6 address, such as "192.0.2.10"`, "%q is no address of a member: %v", m.Address, err)
		} else {
			key := netip.AddrPortFrom(addr, m.Port)
			if first, dup := seen[key]; dup {
				v.addf(at, "remove one of them", "%s is also members[%d]", key, first)
			}
			seen[key] = k
		}
		if m.Host != "" {
			v.host(at+".host", n, m)
		}
		if m.Port == 0 && (n.Monitor != "" || needsPort(n)) {
			v.addf(at+".port", "write the port that the monitor and SRV records use", "%s has no port", m.Address)
		}
		if m.Weight < 0 || m.Weight > maxWeight {
			v.addf(at+".weight", fmt.Sprintf("write 1 to %d", maxWeight), "a weight of %d is not possible", m.Weight)
		}
	}
}

// hosts checks that no host serves in two datacenters: it has one priority in SRV answers, and
// would bring the clients of that datacenter to the other one.
func (v *validator) hosts(path string, p Pool, j int, seen map[wireName]int) {
	for k, m := range p.Members {
		host, err := parseName(m.Host)
		if err != nil {
			continue // none, or members said what is wrong
		}
		if first, used := seen[host]; used && first != j {
			v.addf(fmt.Sprintf("%s.members[%d].host", path, k), "give the member a host of its own",
				"%s is also a host of pool[%d], in another datacenter", m.Host, first)
			continue
		}
		seen[host] = j
	}
}

// host checks the SRV target of a member.
func (v *validator) host(path string, n Name, m Member) {
	host, ok := v.domain(path, m.Host)
	if !ok {
		return
	}
	if host.isWildcard() {
		v.addf(path, "write the host's own name", "%s is a wildcard", m.Host)
	}
	if own, err := parseName(n.Name); err == nil && host == own {
		v.addf(path, `give the member a name of its own, or use target = "name" without hosts`,
			"%s is the steered name itself", m.Host)
	}
}

// service checks one [[gtm.name.srv]].
func (v *validator) service(path string, n Name, s Service) {
	if owner, ok := v.owner(path+".name", s.Name); ok {
		if first, dup := v.services[owner]; dup {
			v.addf(path+".name", "remove one of them", "%s is also %s", s.Name, first)
		}
		v.services[owner] = path
	}
	switch s.Target {
	case steer.TargetName:
		if name, err := parseName(n.Name); err == nil && name.isWildcard() {
			v.addf(path+".target", `write target = "members"`, "%s cannot point at the wildcard %s", s.Name, n.Name)
		}
		if s.Port == 0 {
			v.addf(path+".port", "write the port of the service", "%s has no port and neither has the first member", s.Name)
		}
	case steer.TargetMembers:
		for j, p := range n.Pools {
			for k, m := range p.Members {
				if m.Host == "" {
					v.addf(path, fmt.Sprintf(`give pool[%d].members[%d] a host, or write target = "name"`, j, k),
						"%s names the members, but the member %s of %s has no host", s.Name, m.Address, p.Datacenter)
				}
			}
		}
	default:
		v.addf(path+".target", `write "members" or "name"`, "%q is no target", s.Target)
	}
}

// needsPort says whether SRV records name the members' ports.
func needsPort(n Name) bool {
	for _, s := range n.SRV {
		if s.Target == steer.TargetMembers {
			return true
		}
	}
	return false
}

// memberAddr reads an address that may be answered.
func memberAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return a, fmt.Errorf("not an IP address")
	case a.Zone() != "":
		return a, fmt.Errorf("a zone (%%%s) has no meaning in DNS", a.Zone())
	case a.Is4In6():
		return a, fmt.Errorf("an IPv4 address in IPv6 form")
	case a.IsUnspecified(), a.IsMulticast():
		return a, fmt.Errorf("not the address of a host")
	}
	return a, nil
}

// listenAddr reads an address to listen on. The unspecified address is refused: on a host with
// several addresses the answer would leave from another one than was asked, and be dropped.
func listenAddr(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, fmt.Errorf("not ip:port")
	}
	if a.Addr().IsUnspecified() {
		return a, fmt.Errorf("answers must leave from the address that was asked, so list each address by itself")
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}
