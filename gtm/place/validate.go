package place

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"switchpoint/directory/sites"
	"switchpoint/internal/problem"
)

// Bounds of [gtm.sites].
const (
	minSitesRefresh = time.Second
	maxSitesRefresh = 7 * 24 * time.Hour
)

// Defaults and bounds of [gtm.reverse].
const (
	DefaultReverseTimeout = 2 * time.Second
	DefaultReverseKeep    = time.Hour
	DefaultReverseEntries = 100_000

	minReverseTimeout = 10 * time.Millisecond
	maxReverseTimeout = 30 * time.Second
	minReverseKeep    = time.Second
	maxReverseKeep    = 7 * 24 * time.Hour
	minReverseEntries = 2
	maxReverseEntries = 1_000_000
	maxReverseServers = 8
)

// codeLength is the length of the codes of countries (ISO 3166-1 alpha-2) and continents.
const codeLength = 2

// continents are the codes that MaxMind uses.
var continents = [...]string{"AF", "AN", "AS", "EU", "NA", "OC", "SA"}

// WithDefaults returns the configuration with every unset value filled in; c is not changed.
func (c Config) WithDefaults() Config {
	c.Sites.Config = c.Sites.Config.WithDefaults()
	c.Sites.Refresh = cmp.Or(c.Sites.Refresh, sites.DefaultRefresh)
	c.Sites.ApproveAbove = cmp.Or(c.Sites.ApproveAbove, sites.DefaultApproveAbove)
	c.Reverse.Timeout = cmp.Or(c.Reverse.Timeout, DefaultReverseTimeout)
	c.Reverse.Keep = cmp.Or(c.Reverse.Keep, DefaultReverseKeep)
	c.Reverse.Entries = cmp.Or(c.Reverse.Entries, DefaultReverseEntries)
	return c
}

// Configured says whether there are sites to read.
func (s Sites) Configured() bool { return len(s.URLs) > 0 || s.LDIF != "" }

// Empty says whether nothing is configured.
func (c Config) Empty() bool {
	return c.Sites.zero() && len(c.Rules)+len(c.Resolvers)+len(c.Domains)+len(c.Geo.Rules)+len(c.Reverse.Servers) == 0 && c.Geo.File == ""
}

// Validate reports every problem that can be seen without reading a file, as a problem.List with
// paths relative to [gtm].
func (c Config) Validate() error {
	v := validator{cfg: c.WithDefaults()}
	v.topology()
	v.resolvers()
	v.sites()
	v.geo()
	v.domains()
	v.reverse()
	for i, s := range c.ECS.Trusted {
		v.prefix(fmt.Sprintf("ecs.trusted[%d]", i), s, true)
	}
	return v.problems.Err()
}

// validator walks a Config and collects problems.
type validator struct {
	cfg      Config
	problems problem.List
}

func (v *validator) addf(path, cure, format string, args ...any) {
	v.problems.Addf(path, cure, format, args...)
}

// prefix checks a prefix, or an address where one may stand for itself.
func (v *validator) prefix(path, s string, address bool) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	cure := `write a prefix, such as "10.1.0.0/16" or "2001:db8::/32"`
	if address {
		p, err = prefixOrAddress(s)
		cure = `write an address or a prefix, such as "10.1.0.53" or "10.1.0.0/16"`
	}
	switch {
	case err != nil:
		v.addf(path, cure, "%q is no prefix", s)
	case p.Addr().Is4In6():
		v.addf(path, "write it as an IPv4 prefix", "%q is an IPv4 prefix in IPv6 form", s)
	case p != p.Masked():
		v.addf(path, fmt.Sprintf("write %q", p.Masked()), "%q has bits set beyond its length", s)
	default:
		return p, true
	}
	return p, false
}

// unique checks a prefix that may be there once.
func (v *validator) unique(kind string, i int, s string, address bool, seen map[netip.Prefix]int) {
	path := fmt.Sprintf("%s[%d].prefix", kind, i)
	p, ok := v.prefix(path, s, address)
	if !ok {
		return
	}
	if first, dup := seen[p]; dup {
		v.addf(path, "merge the two", "%s is also %s[%d]", p, kind, first)
		return
	}
	seen[p] = i
}

func (v *validator) topology() {
	seen := make(map[netip.Prefix]int, len(v.cfg.Rules))
	for i, r := range v.cfg.Rules {
		v.unique("topology", i, r.Prefix, false, seen)
		v.order(fmt.Sprintf("topology[%d]", i), "the prefix "+r.Prefix, r.Datacenters)
	}
}

func (v *validator) resolvers() {
	seen := make(map[netip.Prefix]int, len(v.cfg.Resolvers))
	for i, r := range v.cfg.Resolvers {
		v.unique("resolver", i, r.Prefix, true, seen)
		v.order(fmt.Sprintf("resolver[%d]", i), "the resolver "+r.Prefix, r.Datacenters)
	}
}

func (v *validator) sites() {
	s := v.cfg.Sites
	switch {
	case s.LDIF != "" && len(s.URLs) > 0:
		v.addf("sites.ldif", "remove one of them", "the sites come from the file %q or from urls, not from both", s.LDIF)
	case s.LDIF == "" && !s.zero():
		v.problems.Under("sites", s.Config.Validate())
	}
	if s.Refresh < minSitesRefresh || s.Refresh > maxSitesRefresh {
		v.addf("sites.refresh", `write a time from "1s" to "168h"`, "sites cannot be read every %s", s.Refresh)
	}
	seen := make(map[string]int)
	for i, m := range s.Map {
		path := fmt.Sprintf("sites.map[%d]", i)
		if m.Site == "" {
			v.addf(path+".site", "write the name of an Active Directory site", "the site has no name")
		}
		v.datacenter(path+".datacenter", m.Datacenter)
		name := strings.ToLower(m.Site)
		if first, dup := seen[name]; dup {
			v.addf(path+".site", "remove one of them", "the site %q is also map[%d]", m.Site, first)
		}
		seen[name] = i
	}
}

// zero says whether the section is not there; defaults do not count.
func (s Sites) zero() bool {
	return !s.Configured() && len(s.Map) == 0 && !s.StartTLS && !s.NoVerify && !s.AllowPlain &&
		s.CA+s.Verify+s.BindDN+s.BindPassword == ""
}

func (v *validator) geo() {
	g := v.cfg.Geo
	switch {
	case g.File == "" && len(g.Rules) > 0:
		v.addf("geo.file", `write file = "/var/lib/GeoIP/GeoLite2-Country.mmdb"`, "there are rules, and no database that they could ask")
	case g.File != "" && len(g.Rules) == 0:
		v.addf("geo.rule", "add a [[gtm.geo.rule]]", "there is a database, and no rule that asks it")
	}
	type question struct {
		continent, country string
		asn                uint32
	}
	seen := make(map[question]int)
	for i, r := range g.Rules {
		path := fmt.Sprintf("geo.rule[%d]", i)
		if r.Continent != "" && !slices.Contains(continents[:], r.Continent) {
			v.addf(path+".continent", "write one of "+strings.Join(continents[:], ", "), "%q is no continent", r.Continent)
		}
		if r.Country != "" && !goodCountry(r.Country) {
			v.addf(path+".country", `write the two capital letters of ISO 3166-1, such as "DE"`, "%q is no country", r.Country)
		}
		q := question{r.Continent, r.Country, r.ASN}
		if first, dup := seen[q]; dup {
			v.addf(path, "remove one of them", "it asks the same as geo.rule[%d]", first)
		}
		seen[q] = i
		v.order(path, "the rule", r.Datacenters)
	}
}

func goodCountry(s string) bool {
	return len(s) == codeLength && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

func (v *validator) domains() {
	seen := make(map[string]int)
	for i, d := range v.cfg.Domains {
		path := fmt.Sprintf("domain[%d]", i)
		suffix, ok := foldDomain(d.Suffix)
		switch first, dup := seen[suffix]; {
		case !ok:
			v.addf(path+".suffix", `write a domain name, such as "us.company.com"`, "%q is no domain name", d.Suffix)
		case dup:
			v.addf(path+".suffix", "merge the two", "%s is also domain[%d]", suffix, first)
		default:
			seen[suffix] = i
		}
		v.order(path, "the domain "+d.Suffix, d.Datacenters)
	}
}

func (v *validator) reverse() {
	r := v.cfg.Reverse
	switch {
	case len(v.cfg.Domains) > 0 && len(r.Servers) == 0:
		v.addf("reverse.servers", `write servers = ["10.1.0.53:53"], name servers with the PTR records of the clients`,
			"there are [[gtm.domain]] rules, and no name server that knows the names of clients")
	case len(v.cfg.Domains) == 0 && len(r.Servers) > 0:
		v.addf("reverse.servers", "add a [[gtm.domain]], or remove this", "no [[gtm.domain]] uses what these servers say")
	case len(r.Servers) > maxReverseServers:
		v.addf("reverse.servers", fmt.Sprintf("list at most %d", maxReverseServers), "there are %d servers", len(r.Servers))
	}
	seen := make(map[netip.AddrPort]bool)
	for i, s := range r.Servers {
		path := fmt.Sprintf("reverse.servers[%d]", i)
		addr, err := netip.ParseAddrPort(s)
		switch {
		case err != nil || addr.Port() == 0 || addr.Addr().IsUnspecified():
			v.addf(path, `write ip:port, such as "10.1.0.53:53"`, "%q is no address of a name server", s)
		case seen[addr]:
			v.addf(path, "remove one of them", "%s is listed twice", s)
		}
		seen[addr] = true
	}
	if r.Timeout < minReverseTimeout || r.Timeout > maxReverseTimeout {
		v.addf("reverse.timeout", `write a time from "10ms" to "30s"`, "a time-out of %s is not possible", r.Timeout)
	}
	if r.Keep < minReverseKeep || r.Keep > maxReverseKeep {
		v.addf("reverse.keep", `write a time from "1s" to "168h"`, "names cannot be kept for %s", r.Keep)
	}
	if r.Entries < minReverseEntries || r.Entries > maxReverseEntries {
		v.addf("reverse.entries", fmt.Sprintf("write %d to %d", minReverseEntries, maxReverseEntries), "%d clients cannot be remembered", r.Entries)
	}
}

// order checks the datacenters of a rule.
func (v *validator) order(path, what string, datacenters []string) {
	if len(datacenters) == 0 {
		v.addf(path+".datacenters", "list them in order of preference", "%s has no datacenters", what)
	}
	listed := make(map[string]bool, len(datacenters))
	for j, dc := range datacenters {
		at := fmt.Sprintf("%s.datacenters[%d]", path, j)
		v.datacenter(at, dc)
		if listed[dc] {
			v.addf(at, "remove one of them", "%q is listed twice", dc)
		}
		listed[dc] = true
	}
}

// datacenter checks that a datacenter is declared.
func (v *validator) datacenter(path, dc string) {
	if slices.Contains(v.cfg.Datacenters, dc) {
		return
	}
	cure := "add a [[datacenter]] of that name"
	if len(v.cfg.Datacenters) > 0 {
		cure = "use one of " + strings.Join(v.cfg.Datacenters, ", ") + ", or " + cure
	}
	v.addf(path, cure, "there is no datacenter %q", dc)
}
