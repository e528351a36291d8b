package sites

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Defaults of a site link (MS-ADSC, class siteLink).
const (
	DefaultCost     = 100
	DefaultInterval = 180 // minutes
)

// bridgesRequired is the bit of a transport's options that makes its links not transitive
// (NTDSTRANSPORT_OPT_BRIDGES_REQUIRED, MS-ADTS 6.1.1.2.2.3.1).
const bridgesRequired = 2

// errNoSites is what an account without the right to read sees, too.
var errNoSites = errors.New("no site found: is this the Configuration partition (CN=Sites,CN=Configuration,...), and may the account read it?")

// builder sorts entries out. The order in which it meets them must not matter.
type builder struct {
	c      contents
	forest string            // what stands above CN=Sites
	sites  map[string]string // key of the DN -> name
	links  map[string]string // key of the DN -> name
}

// newSet makes a Set of the entries of one forest. It fails when they are of several, or none is a
// site; everything else is a Problem. Found are problems that came up while reading.
func newSet(source string, at time.Time, entries []entry, found []Problem) (*Set, error) {
	b := &builder{
		c:     contents{Source: source, Read: at.UTC(), Transitive: true, Problems: slices.Clone(found)},
		sites: make(map[string]string), links: make(map[string]string),
	}
	// By DN, so that of two that cannot both stand the same one is kept whatever came first; of two
	// versions of one object the later.
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.dn, b.dn), cmp.Compare(b.usn(), a.usn()))
	})
	if err := b.each(entries, "site", b.site, "sites", "configuration"); err != nil {
		return nil, err
	}
	if len(b.c.Sites) == 0 {
		return nil, errNoSites
	}
	for _, pass := range []struct {
		class string
		take  func(entry, path)
		below []string
	}{
		{"interSiteTransport", b.transport, []string{"inter-site transports", "sites", "configuration"}},
		{"subnet", b.subnet, []string{"subnets", "sites", "configuration"}},
		{"siteLink", b.link, []string{"ip", "inter-site transports", "sites", "configuration"}},
		{"siteLinkBridge", b.bridge, []string{"ip", "inter-site transports", "sites", "configuration"}},
	} {
		if err := b.each(entries, pass.class, pass.take, pass.below...); err != nil {
			return nil, err
		}
	}
	b.finish()
	return indexed(b.c), nil
}

// each gives take the objects of a class that stand where they belong.
func (b *builder) each(entries []entry, class string, take func(entry, path), below ...string) error {
	seen := make(map[string]bool)
	for _, e := range entries {
		if !e.is(class) {
			continue
		}
		p, ok := parsePath(e.dn)
		if !ok {
			b.leftOut(e.dn, "has a name that is no DN of the directory")
			continue
		}
		if what, is := p.leftover(); is {
			b.leftOut(e.dn, "%s", what)
			continue
		}
		if strings.ContainsFunc(p.name, unicode.IsControl) {
			b.leftOut(e.dn, "has a name with control characters")
			continue
		}
		forest, ok := p.under(below...)
		switch {
		case !ok && class == "siteLink" && slices.Contains(p.rest, "smtp"):
			b.leftOut(e.dn, "is a link of the SMTP transport, which carries no clients: only those of IP count")
			continue
		case !ok:
			b.leftOut(e.dn, "is a %s that does not stand in CN=%s", class, strings.Join(below, ",CN="))
			continue
		case b.forest != "" && forest != b.forest:
			return fmt.Errorf("the objects are of two forests, %s and %s: read each on its own",
				strings.ReplaceAll(b.forest, "\x00", "."), strings.ReplaceAll(forest, "\x00", "."))
		case seen[p.key()]:
			b.leftOut(e.dn, "stands there twice")
			continue
		}
		b.forest, seen[p.key()] = forest, true
		b.c.USN = max(b.c.USN, e.usn())
		take(e, p)
	}
	return nil
}

func (b *builder) leftOut(object, format string, args ...any) {
	b.c.Problems = append(b.c.Problems, Problem{Object: printable(object), What: fmt.Sprintf(format, args...)})
}

func (b *builder) site(e entry, p path) {
	b.sites[p.key()] = p.name
	b.c.Sites = append(b.c.Sites, Site{Name: p.name, Location: e.location()})
}

func (b *builder) transport(e entry, p path) {
	if !strings.EqualFold(p.name, "IP") {
		return
	}
	if options, err := number(e.first("options"), 0); err != nil {
		b.leftOut(e.dn, "has options that are no number: links count as transitive")
	} else {
		b.c.Transitive = options&bridgesRequired == 0
	}
}

func (b *builder) subnet(e entry, p path) {
	prefix, err := parseSubnet(p.name)
	if err != nil {
		b.leftOut(e.dn, "%s", err)
		return
	}
	dn := e.first("siteobject")
	if dn == "" {
		b.leftOut(e.dn, "has no site")
		return
	}
	site, ok := b.named(b.sites, dn)
	if !ok {
		b.leftOut(e.dn, "is in %s, which is no site that exists", quote(dn))
		return
	}
	b.c.Subnets = append(b.c.Subnets, Subnet{Prefix: prefix, Site: site, Location: e.location()})
}

// parseSubnet reads the name of a subnet (MS-ADTS 6.1.1.2.2.2.1): address and length, no bit of the
// host set.
func parseSubnet(name string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(name)
	switch {
	case err != nil:
		return p, fmt.Errorf("%s is no subnet: write address/length, such as 10.1.0.0/16 or 2001:db8::/32", quote(name))
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%s is an IPv4 subnet in IPv6 clothes: write it as IPv4", quote(name))
	case p != p.Masked():
		return p, fmt.Errorf("%s has bits of the host set: write %s", quote(name), p.Masked())
	}
	return p, nil
}

func (b *builder) link(e entry, p path) {
	cost, err := number(e.first("cost"), DefaultCost)
	if err != nil || cost < 0 {
		b.leftOut(e.dn, "has the cost %s: write a number from 0", quote(e.first("cost")))
		return
	}
	interval, err := number(e.first("replinterval"), DefaultInterval)
	if err != nil {
		interval = DefaultInterval // no decision hangs on it
	}
	sites := b.list(e, "sitelist", b.sites, "site")
	if len(sites) < 2 {
		b.leftOut(e.dn, "joins %d usable sites, and a link takes two", len(sites))
		return
	}
	b.links[p.key()] = p.name
	b.c.Links = append(b.c.Links, Link{Name: p.name, Sites: sites, Cost: cost, Interval: interval})
}

func (b *builder) bridge(e entry, p path) {
	links := b.list(e, "sitelinklist", b.links, "site link")
	if len(links) < 2 {
		b.leftOut(e.dn, "joins %d usable site links, and a bridge takes two", len(links))
		return
	}
	b.c.Bridges = append(b.c.Bridges, Bridge{Name: p.name, Links: links})
}

// list gives the names that an attribute's DNs lead to, each once.
func (b *builder) list(e entry, attr string, known map[string]string, kind string) []string {
	names := make(map[string]bool)
	for _, dn := range e.attrs[attr] {
		if name, ok := b.named(known, dn); ok {
			names[name] = true
		} else {
			b.leftOut(e.dn, "names %s, which is no %s that is usable", quote(dn), kind)
		}
	}
	return slices.SortedFunc(maps.Keys(names), compareNames)
}

func (b *builder) named(known map[string]string, dn string) (string, bool) {
	p, ok := parsePath(dn)
	if !ok {
		return "", false
	}
	name, ok := known[p.key()]
	return name, ok
}

// finish sorts, and leaves out the second of two spellings of one subnet.
func (b *builder) finish() {
	slices.SortFunc(b.c.Sites, func(x, y Site) int { return compareNames(x.Name, y.Name) })
	slices.SortFunc(b.c.Links, func(x, y Link) int { return compareNames(x.Name, y.Name) })
	slices.SortFunc(b.c.Bridges, func(x, y Bridge) int { return compareNames(x.Name, y.Name) })
	// Stable: the entries came by DN.
	slices.SortStableFunc(b.c.Subnets, func(x, y Subnet) int { return x.Prefix.Compare(y.Prefix) })
	kept := b.c.Subnets[:0]
	for _, next := range b.c.Subnets {
		if n := len(kept); n > 0 && kept[n-1].Prefix == next.Prefix {
			b.leftOut("subnet "+next.Prefix.String(), "is written in two ways, for site %s and for site %s: the first counts", kept[n-1].Site, next.Site)
			continue
		}
		kept = append(kept, next)
	}
	b.c.Subnets = kept
	slices.SortFunc(b.c.Problems, func(x, y Problem) int {
		return cmp.Or(cmp.Compare(x.Object, y.Object), cmp.Compare(x.What, y.What))
	})
}

func compareNames(a, b string) int { return cmp.Or(cmp.Compare(fold(a), fold(b)), cmp.Compare(a, b)) }

// number reads an attribute of syntax Integer (32 bits, MS-ADTS 3.1.1.2.2.2).
func number(s string, absent int) (int, error) {
	if s == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return int(n), err
}

// shown bounds what a message repeats of a directory's own words.
const shown = 200

func quote(s string) string { return strconv.Quote(cut(s)) }

// printable makes a DN safe to stand on a line. Its own escapes stay as they are.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, cut(s))
}

func cut(s string) string {
	if len(s) <= shown {
		return s
	}
	return strings.ToValidUTF8(s[:shown], "") + "..."
}
