package sites

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/realserver"
)

// forest is a real domain with five sites of ours, 200 subnets and links with costs:
//
//	        core, 50 (full mesh)
//	Prague ------- Vienna
//	 |   \        /            DEFAULT: the site that every domain begins with,
//	 |    London ---- 300 ---- NewYork       which no usable link leads to
//	100 (north)     atlantic
//	Brno
type forest struct {
	*realserver.SambaServer
}

const defaultSite = "Default-First-Site-Name"

func newForest(t *testing.T) *forest {
	t.Helper()
	f := &forest{SambaServer: realserver.Samba(t, realserver.SambaOptions{})}
	f.AddUser("svc-sites", "Svc-secret-1") // an ordinary account
	t.Setenv("SITES_PASSWORD", "Svc-secret-1")
	var b strings.Builder
	for _, name := range ourSites() {
		fmt.Fprintf(&b, "dn: %s\nobjectClass: site\nlocation: the house in %s\n\n", f.site(name), name)
	}
	b.WriteString(f.linkLDIF("core", 50, "Prague", "Vienna", "London"))
	b.WriteString(f.linkLDIF("atlantic", 300, "London", "NewYork"))
	b.WriteString(f.linkLDIF("north", 0, "Prague", "Brno")) // no cost written: 100
	for _, s := range ourSubnets() {
		b.WriteString(f.subnetLDIF(s))
	}
	f.Add(b.String())
	return f
}

func ourSites() []string { return []string{"Prague", "Brno", "Vienna", "London", "NewYork"} }

// ourSubnets are 200: 140 of IPv4 and 60 of IPv6, with a catch-all supernet of each and prefixes
// within prefixes.
func ourSubnets() []Subnet {
	var out []Subnet
	add := func(prefix, site string) {
		out = append(out, Subnet{Prefix: netip.MustParsePrefix(prefix), Site: site})
	}
	add("10.0.0.0/8", "Prague")
	add("2001:db8::/32", "London")
	for i := range 100 {
		add(fmt.Sprintf("10.%d.0.0/16", i), ourSites()[i%5])
	}
	for i := range 39 {
		add(fmt.Sprintf("10.%d.%d.0/24", i, i), ourSites()[(i+1)%5])
	}
	for i := range 59 {
		add(fmt.Sprintf("2001:db8:%x::/48", i+1), ourSites()[i%5])
	}
	return out
}

func (f *forest) site(name string) string { return "CN=" + name + ",CN=Sites," + f.ConfigDN }

func (f *forest) subnet(prefix string) string {
	return "CN=" + prefix + ",CN=Subnets,CN=Sites," + f.ConfigDN
}

func (f *forest) link(name string) string {
	return "CN=" + name + ",CN=IP,CN=Inter-Site Transports,CN=Sites," + f.ConfigDN
}

func (f *forest) subnetLDIF(s Subnet) string {
	return fmt.Sprintf("dn: %s\nobjectClass: subnet\nsiteObject: %s\n\n", f.subnet(s.Prefix.String()), f.site(s.Site))
}

func (f *forest) linkLDIF(name string, cost int, sites ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nobjectClass: siteLink\n", f.link(name))
	if cost > 0 {
		fmt.Fprintf(&b, "cost: %d\n", cost)
	}
	for _, s := range sites {
		fmt.Fprintf(&b, "siteList: %s\n", f.site(s))
	}
	return b.String() + "\n"
}

// config reads with the ordinary account.
func (f *forest) config() Config {
	return Config{
		URLs: []string{f.TLSURL}, CA: f.CAFile, BindDN: "svc-sites@" + strings.ToLower(f.Realm),
		BindPassword: "env:SITES_PASSWORD", Timeout: 20 * time.Second,
	}
}

func (f *forest) mustRead(t *testing.T) *Set {
	t.Helper()
	set, err := Read(t.Context(), f.config())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// put gives subnets that exist the site that they name, all at once; an empty one takes theirs away.
func (f *forest) put(subnets ...Subnet) {
	var b strings.Builder
	for _, s := range subnets {
		fmt.Fprintf(&b, "dn: %s\nchangetype: modify\nreplace: siteObject\n", f.subnet(s.Prefix.String()))
		if s.Site != "" {
			fmt.Fprintf(&b, "siteObject: %s\n", f.site(s.Site))
		}
		b.WriteString("-\n\n")
	}
	f.Ldb(b.String(), "ldbmodify")
}

// move puts subnets into another site.
func (f *forest) move(site string, subnets ...Subnet) {
	moved := slices.Clone(subnets)
	for i := range moved {
		moved[i].Site = site
	}
	f.put(moved...)
}

// siteOf is what a longest-prefix lookup in the set gives.
func siteOf(s *Set, client string) string {
	addr := netip.MustParseAddr(client)
	best, site := -1, ""
	for n := range s.Subnets() {
		if n.Prefix.Contains(addr) && n.Prefix.Bits() > best {
			best, site = n.Prefix.Bits(), n.Site
		}
	}
	return site
}

// steps shows an order on one line.
func steps(order []Step) string {
	var out []string
	for _, s := range order {
		out = append(out, fmt.Sprintf("%d: %s", s.Owner, s))
	}
	return strings.Join(out, "; ")
}
