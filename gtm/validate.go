package gtm

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// Defaults and bounds.
const (
	DefaultMethod  = "round-robin"
	DefaultTTL     = 30 * time.Second
	DefaultAllDown = allDownAll
	DefaultTarget  = targetMembers

	maxTTL         = 24 * time.Hour
	maxWeight      = 65535
	maxDatacenters = 1000 // their SRV priorities, ten apart, fit 16 bits
)

const (
	allDownAll      = "all"
	allDownNoData   = "nodata"
	allDownServFail = "servfail"

	targetMembers = "members"
	targetName    = "name"
)

// WithDefaults returns the configuration with every unset value filled in; c is not changed.
func (c Config) WithDefaults() Config {
	names := make([]Name, len(c.Names))
	for i, n := range c.Names {
		n.Method = or(n.Method, DefaultMethod)
		n.AllDown = or(n.AllDown, DefaultAllDown)
		n.TTL = or(n.TTL, DefaultTTL)
		n.Pools = append([]Pool(nil), n.Pools...)
		for j := range n.Pools {
			members := append([]Member(nil), n.Pools[j].Members...)
			for k := range members {
				members[k].Weight = or(members[k].Weight, 1)
			}
			n.Pools[j].Members = members
		}
		n.SRV = append([]Service(nil), n.SRV...)
		for j := range n.SRV {
			s := &n.SRV[j]
			s.Target = or(s.Target, DefaultTarget)
			if s.Target == targetName && s.Port == 0 {
				s.Port = firstPort(n.Pools)
			}
		}
		names[i] = n
	}
	c.Names = names
	c.protocolDefaults()
	return c
}

// or returns v, or def where v is the zero value.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func firstPort(pools []Pool) uint16 {
	for _, p := range pools {
		if len(p.Members) > 0 {
			return p.Members[0].Port
		}
	}
	return 0
}

// Validate reports every problem of the section that can be seen without reading the zone
// files, as a problem.List with paths relative to [gtm]. The zero Config (no [gtm] section)
// has none.
func (c Config) Validate() error {
	if len(c.Listen)+len(c.Zones)+len(c.Names)+len(c.Topology) == 0 {
		return nil
	}
	v := validator{cfg: c.WithDefaults(), origins: map[wireName]int{}, steered: map[wireName]int{}, services: map[wireName]string{}}
	v.listen()
	v.zones()
	for i := range v.cfg.Names {
		v.name(i)
	}
	v.topology()
	v.protocol()
	if len(c.Datacenters) > maxDatacenters {
		v.problems.Addf("", "use fewer", "there are %d datacenters, at most %d are possible", len(c.Datacenters), maxDatacenters)
	}
	return v.problems.Err()
}

// validator walks a Config and collects problems.
type validator struct {
	cfg      Config
	problems problem.List
	origins  map[wireName]int    // zones by origin
	steered  map[wireName]int    // names
	services map[wireName]string // SRV owners, with their path
}

func (v *validator) addf(path, cure, format string, args ...any) {
	v.problems.Addf(path, cure, format, args...)
}

func (v *validator) listen() {
	if len(v.cfg.Listen) == 0 {
		v.addf("listen", `write listen = ["192.0.2.1:53"]`, "gtm has no address to listen on")
	}
	seen := map[netip.AddrPort]bool{}
	for i, l := range v.cfg.Listen {
		path := fmt.Sprintf("listen[%d]", i)
		addr, err := listenAddr(l)
		if err != nil {
			v.addf(path, `write ip:port, such as "192.0.2.1:53"`, "%q is no address to listen on: %v", l, err)
			continue
		}
		if seen[addr] && addr.Port() != 0 {
			v.addf(path, "remove one of them", "%s is listed twice", l)
		}
		seen[addr] = true
	}
}

func (v *validator) zones() {
	for i, z := range v.cfg.Zones {
		path := fmt.Sprintf("zone[%d]", i)
		origin, ok := v.domain(path+".origin", z.Origin)
		if ok {
			if first, dup := v.origins[origin]; dup {
				v.addf(path+".origin", "remove one of them", "the zone %s is also zone[%d]", origin, first)
			}
			v.origins[origin] = i
		}
		switch {
		case z.File != "" && len(z.NS) > 0:
			v.addf(path+".ns", "put the NS records into the file", "ns is for zones without a file, and this one has %q", z.File)
		case z.File == "" && len(z.NS) == 0:
			v.addf(path, `give it file = "..." or ns = ["ns1.company.com", ...]`, "the zone %s has neither a file nor name servers", z.Origin)
		}
		for j, ns := range z.NS {
			v.domain(fmt.Sprintf("%s.ns[%d]", path, j), ns)
		}
	}
}

// domain checks a domain name and gives its wire form.
func (v *validator) domain(path, s string) (wireName, bool) {
	n, err := parseName(s)
	if err != nil {
		v.addf(path, "write a domain name, such as \"cb.company.com\"", "the name %q %v", s, err)
		return "", false
	}
	return n, true
}

// zoneOf finds the zone that a name lies in.
func (v *validator) zoneOf(n wireName) bool {
	for m := n; ; m = m.parent() {
		if _, ok := v.origins[m]; ok {
			return true
		}
		if m == rootName {
			return false
		}
	}
}

// owner checks a name that must lie in one of the zones.
func (v *validator) owner(path, s string) (wireName, bool) {
	n, ok := v.domain(path, s)
	if !ok {
		return "", false
	}
	if !v.zoneOf(n) {
		v.addf(path, fmt.Sprintf("add a [[gtm.zone]] with origin = %q", strings.TrimSuffix(s, ".")),
			"%s lies in none of the zones", s)
		return "", false
	}
	return n, true
}

func (v *validator) topology() {
	seen := map[netip.Prefix]int{}
	for i, e := range v.cfg.Topology {
		path := fmt.Sprintf("topology[%d]", i)
		p, err := netip.ParsePrefix(e.Prefix)
		switch {
		case err != nil:
			v.addf(path+".prefix", `write a prefix, such as "10.1.0.0/16" or "2001:db8::/32"`, "%q is no prefix", e.Prefix)
		case p != p.Masked():
			v.addf(path+".prefix", fmt.Sprintf("write %q", p.Masked()), "%q has bits set beyond its length", e.Prefix)
		case p.Addr().Is4In6():
			v.addf(path+".prefix", "write it as an IPv4 prefix", "%q is an IPv4 prefix in IPv6 form", e.Prefix)
		default:
			if first, dup := seen[p]; dup {
				v.addf(path+".prefix", "merge the two", "%s is also topology[%d]", p, first)
			}
			seen[p] = i
		}
		if len(e.Datacenters) == 0 {
			v.addf(path+".datacenters", "list them in order of preference", "the prefix %s has no datacenters", e.Prefix)
		}
		listed := map[string]bool{}
		for j, dc := range e.Datacenters {
			at := fmt.Sprintf("%s.datacenters[%d]", path, j)
			v.datacenter(at, dc)
			if listed[dc] {
				v.addf(at, "remove one of them", "%q is listed twice", dc)
			}
			listed[dc] = true
		}
	}
}

// datacenter checks that a datacenter is declared.
func (v *validator) datacenter(path, dc string) {
	for _, known := range v.cfg.Datacenters {
		if dc == known {
			return
		}
	}
	cure := "add a [[datacenter]] of that name"
	if len(v.cfg.Datacenters) > 0 {
		cure = "use one of " + strings.Join(v.cfg.Datacenters, ", ") + ", or " + cure
	}
	v.addf(path, cure, "there is no datacenter %q", dc)
}
