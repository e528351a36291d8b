package gtm

import (
	"fmt"
	"net/netip"
	"strings"

	"switchpoint/internal/problem"
)

// Defaults and bounds.
const (
	maxWeight      = 65535
	maxDatacenters = 1000 // their SRV priorities, ten apart, fit 16 bits
)

// WithDefaults returns the configuration with every unset value filled in; c is not changed.
func (c Config) WithDefaults() Config {
	names := make([]Name, len(c.Names))
	for i, n := range c.Names {
		names[i] = n.WithDefaults()
	}
	c.Names = names
	c.protocolDefaults()
	c.queryLogDefaults()
	places := c.Places().WithDefaults()
	c.Sites, c.Reverse = places.Sites, places.Reverse
	c.Nodes = c.Nodes.WithDefaults()
	return c
}

// Validate reports every problem of the section that can be seen without reading the zone
// files, as a problem.List with paths relative to [gtm]. The zero Config (no [gtm] section)
// has none.
func (c Config) Validate() error {
	if len(c.Listen)+len(c.Zones)+len(c.Names)+len(c.Topology) == 0 && c.Places().Empty() {
		return nil
	}
	v := validator{cfg: c.WithDefaults(), origins: map[wireName]int{}, steered: map[wireName]int{}, services: map[wireName]string{}}
	v.listen()
	v.zones()
	for i := range v.cfg.Names {
		v.name(i)
	}
	v.problems.Under("", v.cfg.Places().Validate())
	v.problems.Under("nodes", v.cfg.Nodes.Validate())
	v.protocol()
	v.queryLog()
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
