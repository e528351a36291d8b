package gtm

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// randomZone is a zone made by chance, always the same one for the same seed.
type randomZone struct {
	origin string
	plain  bool // only what gdnsd can serve: no DNAME, no "*" inside of names, types that it has
	rand   *rand.Rand
	lines  []string
	owners []string // names that exist, aliases and cuts included
	below  []string // names at and below cuts and DNAMEs: nothing else may stand there
	hosts  []string // names with an address
}

var zoneLabels = []string{"a", "b", "c", "Www", "host1", "x-y", "_tcp", "MAIL", "deep"}

// genericA is an address in the form of RFC 3597.
const genericA = `TYPE1 \# 4 C0000207`

func newRandomZone(seed uint64, origin string, plain bool) *randomZone {
	z := &randomZone{origin: origin, plain: plain, rand: rand.New(rand.NewPCG(seed, 4))}
	z.add("", "SOA", fmt.Sprintf("ns1.%s host.%s %d 3600 600 604800 %d", z.origin, z.origin, seed, 30+seed%2*600))
	z.add("", "NS", "ns1."+z.origin)
	z.add("", "NS", "ns.other.example.")
	z.add("ns1", "A", z.ipv4())
	z.add("ns1", "AAAA", z.ipv6())
	z.owners, z.hosts = []string{"", "ns1"}, []string{"ns1"}
	if !plain { // the cut of a zone that the same servers have, in some cases
		z.owners = append(z.owners, "child")
		z.below = append(z.below, "child")
		z.add("child", "NS", "ns1.child."+z.origin)
		z.add("ns1.child", "A", z.ipv4())
		z.add("child", "DS", fmt.Sprintf("%d 13 2 %064x", seed, seed))
	}
	for range 12 {
		z.host(z.fresh())
	}
	for range 4 {
		z.cut(z.empty())
		z.host("*." + z.fresh())
	}
	if !plain {
		z.host(z.fresh() + ".*." + z.fresh())
		for range 4 {
			z.dname(z.empty())
		}
	}
	for range 12 {
		z.various(z.fresh())
	}
	for range 14 {
		z.alias(z.fresh())
	}
	for range 3 {
		z.alias("*." + z.fresh())
	}
	z.loop(z.fresh(), z.fresh())
	z.chain(z.empty(), 5)
	if !plain {
		z.chain(z.empty(), 9)
		z.chain(z.empty(), 20)
	}
	return z
}

// text is the zone as a master file.
func (z *randomZone) text() string {
	return "$TTL 300\n" + strings.Join(z.lines, "\n") + "\n"
}

func (z *randomZone) add(owner, typ, data string) {
	full := z.origin
	if owner != "" {
		full = owner + "." + z.origin
	}
	z.lines = append(z.lines, full+" IN "+typ+" "+data)
}

func (z *randomZone) label() string { return zoneLabels[z.rand.IntN(len(zoneLabels))] }

// fresh gives a name of one to four labels that does not exist and where records may stand.
func (z *randomZone) fresh() string {
	for {
		name := z.label()
		for range z.rand.IntN(4) {
			name = z.label() + "." + name
		}
		if z.free(name) {
			z.owners = append(z.owners, name)
			return name
		}
	}
}

// empty gives a fresh name without names below it.
func (z *randomZone) empty() string {
	for {
		name := z.fresh()
		taken := false
		for _, o := range z.owners[:len(z.owners)-1] {
			taken = taken || within(o, name)
		}
		if !taken {
			return name
		}
		z.owners = z.owners[:len(z.owners)-1]
	}
}

// free says whether a name is unused, and neither below nor above a cut, a DNAME or an alias.
func (z *randomZone) free(name string) bool {
	for _, o := range z.owners {
		if strings.EqualFold(o, name) {
			return false
		}
	}
	for _, cut := range z.below {
		if within(name, cut) || within(cut, name) {
			return false
		}
	}
	return true
}

// within says whether name is zone or below it.
func within(name, zone string) bool {
	name, zone = strings.ToLower(name), strings.ToLower(zone)
	return name == zone || strings.HasSuffix(name, "."+zone)
}

func (z *randomZone) ipv4() string { return fmt.Sprintf("192.0.2.%d", z.rand.IntN(256)) }
func (z *randomZone) ipv6() string { return fmt.Sprintf("2001:db8::%x", z.rand.IntN(65536)) }

// target is a name that data point at: one of this zone, existing or not, or one outside.
func (z *randomZone) target() string {
	switch z.rand.IntN(12) {
	case 0:
		return z.label() + ".other.example."
	case 3:
		return "ns1.child.zone1.example." // in the child: followed by those who leave a zone
	case 1:
		return z.label() + "." + z.origin
	case 2:
		return z.label() + "." + z.pick(z.owners)
	}
	return z.pick(z.owners)
}

func (z *randomZone) pick(names []string) string {
	name := names[z.rand.IntN(len(names))]
	if name == "" {
		return z.origin
	}
	return name + "." + z.origin
}

// host makes a name with addresses, some with several or with a TTL of their own.
func (z *randomZone) host(name string) {
	for range 1 + z.rand.IntN(3) {
		z.add(name, "A", z.ipv4())
	}
	if z.rand.IntN(2) == 0 {
		z.lines = append(z.lines, fmt.Sprintf("%s.%s %d AAAA %s", name, z.origin, 60+z.rand.IntN(600), z.ipv6()))
	}
	z.owners = append(z.owners, name)
	if !strings.HasPrefix(name, "*") {
		z.hosts = append(z.hosts, name)
	}
}

// cut makes a delegation: servers below it with glue, in the zone, and elsewhere.
func (z *randomZone) cut(name string) {
	z.below = append(z.below, name)
	for _, ns := range []string{"ns1", "ns2"}[:1+z.rand.IntN(2)] {
		z.add(name, "NS", ns+"."+name+"."+z.origin)
		z.add(ns+"."+name, "A", z.ipv4())
		if z.rand.IntN(2) == 0 {
			z.add(ns+"."+name, "AAAA", z.ipv6())
		}
	}
	if z.rand.IntN(2) == 0 {
		z.add(name, "NS", "ns.other.example.")
	}
	if z.rand.IntN(3) == 0 {
		z.add(name, "NS", z.pick(z.hosts))
	}
	if !z.plain && z.rand.IntN(2) == 0 {
		z.add(name, "DS", fmt.Sprintf("%d 13 2 %064x", z.rand.IntN(65536), z.rand.Uint64()))
	}
}

func (z *randomZone) dname(name string) {
	z.below = append(z.below, name)
	z.add(name, "DNAME", z.target())
	if z.rand.IntN(2) == 0 {
		z.add(name, "TXT", `"beside a DNAME"`)
	}
}

// alias points anywhere; of a plain zone, where no circle can come from.
func (z *randomZone) alias(name string) {
	switch {
	case !z.plain:
		z.add(name, "CNAME", z.target())
	case z.rand.IntN(4) == 0:
		z.add(name, "CNAME", "nothing."+z.pick(z.hosts))
	default:
		z.add(name, "CNAME", z.pick(z.hosts))
	}
}

func (z *randomZone) loop(a, b string) {
	if z.plain { // gdnsd refuses the zone
		return
	}
	z.add(a, "CNAME", b+"."+z.origin)
	z.add(b, "CNAME", a+"."+z.origin)
}

// various gives a name records of several types.
func (z *randomZone) various(name string) {
	kinds := []func(){
		func() { z.add(name, "TXT", fmt.Sprintf(`"text %d" "a \"second\" one; \092"`, z.rand.IntN(100))) },
		func() { z.add(name, "MX", fmt.Sprintf("%d %s", z.rand.IntN(100), z.pick(z.hosts))) },
		func() { z.add(name, "SRV", fmt.Sprintf("1 %d 443 %s", z.rand.IntN(100), z.pick(z.hosts))) },
		func() { z.add(name, "PTR", z.target()) },
		func() { z.add(name, "CAA", `0 issue "ca.example"`) },
		func() { z.add(name, "NAPTR", `10 20 "s" "SIP+D2U" "" `+z.pick(z.hosts)) },
		func() { z.add(name, "TYPE65400", fmt.Sprintf(`\# 3 %06x`, z.rand.IntN(1<<24))) },
	}
	if !z.plain {
		kinds = append(kinds,
			func() { z.add(name, "HTTPS", "1 . alpn=h2,h3 ipv4hint="+z.ipv4()) },
			func() { z.add(name, "HTTPS", "0 "+z.pick(z.hosts)) },
			func() { z.add(name, "SVCB", "1 svc.other.example. port=8443") },
			func() { z.add(name, "TLSA", "3 1 1 "+strings.Repeat("ab", 32)) },
			func() { z.add(name, "SSHFP", "4 2 "+strings.Repeat("cd", 32)) },
			func() { z.lines = append(z.lines, name+"."+z.origin+" IN "+genericA) },
		)
	}
	for range 2 + z.rand.IntN(4) {
		kinds[z.rand.IntN(len(kinds))]()
	}
}

// chain makes a row of aliases that ends at a host.
func (z *randomZone) chain(name string, length int) {
	for i := range length {
		owner := fmt.Sprintf("n%d.%s", i, name)
		z.owners = append(z.owners, owner)
		z.add(owner, "CNAME", fmt.Sprintf("n%d.%s.%s", i+1, name, z.origin))
	}
	z.host(fmt.Sprintf("n%d.%s", length, name))
}

var questionTypes = []string{
	"A", "A", "A", "A", "AAAA", "AAAA", "MX", "TXT", "SRV", "NS", "SOA", "CNAME", "CNAME", "DNAME", "DS",
	"PTR", "CAA", "NAPTR", "HTTPS", "SVCB", "TLSA", "SSHFP", "TYPE65400", "TYPE65401", "ANY",
}

// question asks, by chance, for names that exist, above and below them, elsewhere, and for
// names that do not exist, in any case.
func (z *randomZone) question() (name, typ string) {
	owner := z.owners[z.rand.IntN(len(z.owners))]
	switch z.rand.IntN(10) {
	case 0:
		owner = z.label() + "." + owner
	case 1:
		owner = z.label() + "." + z.label() + "." + owner
	case 2:
		_, owner, _ = strings.Cut(owner, ".")
	case 3:
		owner = strings.Replace(owner, "*", z.label(), 1)
	case 4:
		owner = z.label()
	case 5:
		owner = z.label() + "." + z.below[z.rand.IntN(len(z.below))]
	case 6:
		owner = z.below[z.rand.IntN(len(z.below))]
	}
	name = strings.TrimSuffix(owner, ".") + "." + z.origin
	if owner == "" {
		name = z.origin
	}
	if z.rand.IntN(100) == 0 {
		name = z.label() + ".unknown.example."
	}
	return z.anyCase(name), questionTypes[z.rand.IntN(len(questionTypes))]
}

func (z *randomZone) anyCase(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'a' <= c && c <= 'z' && z.rand.IntN(3) == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}
