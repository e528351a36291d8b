package place

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"switchpoint/internal/problem"
)

// entry is a prefix that the merged table says something of.
type entry struct {
	prefix netip.Prefix
	place  int32 // index into Table.places
}

// builder makes a Table.
type builder struct {
	table  *Table
	orders map[string]int32 // index into Table.orders
	lists  map[string]int32 // place by the list of datacenters of a rule
}

// Compile makes the table of a configuration that has passed Validate, without sites: those come
// by WithSites. It reads the MaxMind database; a problem with it is a problem.List.
func Compile(cfg Config) (*Table, error) {
	cfg = cfg.WithDefaults()
	t := &Table{cfg: cfg, domains: suffixes{}}
	b := builder{table: t}
	b.place(info{order: cfg.unknownOrder(), source: "no prefix holds the client" + cfg.ownFirst()})
	if err := errors.Join(b.topology(), b.resolvers(), b.trusted()); err != nil {
		return nil, err
	}
	for _, d := range cfg.Domains {
		suffix, ok := foldDomain(d.Suffix)
		if !ok {
			return nil, fmt.Errorf("domain suffix %q is no domain name", d.Suffix)
		}
		t.domains[suffix] = b.place(info{order: cfg.order(d.Datacenters), source: "[[gtm.domain]] " + suffix})
	}
	if err := b.geo(); err != nil {
		return nil, problem.List{{Path: "geo.file", What: fmt.Sprintf("the database cannot be used: %v", err), Cure: geoCure(err)}}
	}
	t.fixed = len(t.places)
	return t.WithSites(nil), nil
}

// geoCure says what to do about a database that cannot be used.
func geoCure(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "write the path of an existing file"
	case errors.Is(err, fs.ErrPermission):
		return "let the user that runs this process read it"
	}
	return "use a whole .mmdb file that has what the rules ask for, such as GeoLite2-Country"
}

// base is what tables with different sites share.
func (t *Table) base() *Table {
	c := *t
	c.places = slices.Clone(t.places[:t.fixed])
	return &c
}

// place adds a place.
func (b *builder) place(in info) int32 {
	t := b.table
	t.places = append(t.places, in)
	return int32(len(t.places) - 1)
}

// named is the place of a list of datacenters that a rule of some kind has.
func (b *builder) named(source string, datacenters []string) int32 {
	key := source + "\x00" + strings.Join(datacenters, "\x00")
	i, ok := b.lists[key]
	if !ok {
		i = b.place(info{order: b.table.cfg.order(datacenters), source: source})
		if b.lists == nil {
			b.lists = map[string]int32{}
		}
		b.lists[key] = i
	}
	return i
}

func (b *builder) topology() error {
	t := b.table
	t.rules = make([]entry, 0, len(t.cfg.Rules))
	for _, r := range t.cfg.Rules {
		prefix, err := netip.ParsePrefix(r.Prefix)
		if err != nil {
			return fmt.Errorf("topology prefix: %w", err)
		}
		t.rules = append(t.rules, entry{prefix.Masked(), b.named("[[gtm.topology]]", r.Datacenters)})
	}
	slices.SortStableFunc(t.rules, func(a, b entry) int { return a.prefix.Compare(b.prefix) })
	return nil
}

func (b *builder) resolvers() error {
	t := b.table
	t.resolvers = new(bart.Table[int32])
	for _, r := range t.cfg.Resolvers {
		prefix, err := prefixOrAddress(r.Prefix)
		if err != nil {
			return fmt.Errorf("resolver prefix: %w", err)
		}
		t.resolvers.Insert(prefix.Masked(), b.named("[[gtm.resolver]]", r.Datacenters))
	}
	return nil
}

func (b *builder) trusted() error {
	t := b.table
	if t.cfg.ECS.Trusted == nil {
		return nil
	}
	t.trusted = new(bart.Lite)
	for _, s := range t.cfg.ECS.Trusted {
		prefix, err := prefixOrAddress(s)
		if err != nil {
			return fmt.Errorf("trusted resolver: %w", err)
		}
		t.trusted.Insert(prefix.Masked())
	}
	return nil
}

// geo reads the database and gives each of its facts a place.
func (b *builder) geo() error {
	t := b.table
	if t.cfg.Geo.File == "" {
		return nil
	}
	var err error
	if t.geo, err = readGeo(t.cfg.Geo.File, t.cfg.Geo.Rules); err != nil {
		return err
	}
	t.facts = make([]int32, len(t.geo.facts))
	for i, f := range t.geo.facts {
		in := info{source: f.String()}
		if f.rule >= 0 {
			in.order = t.cfg.order(t.cfg.Geo.Rules[f.rule].Datacenters)
		} else {
			in.order = t.cfg.unknownOrder()
			in.source += ", which no [[gtm.geo.rule]] has" + t.cfg.ownFirst()
		}
		t.facts[i] = b.place(in)
	}
	return nil
}

// compile makes the spans of sorted entries, each prefix there once.
func (b *builder) compile(entries []entry) {
	t := b.table
	t.entries = entries
	b.orders = make(map[string]int32)
	for i := range t.places {
		t.places[i].orderID = b.order(t.places[i].order)
	}
	split, _ := slices.BinarySearchFunc(entries, ipv6, func(e entry, _ int) int {
		if e.prefix.Addr().Is4() {
			return -1
		}
		return 1
	})
	for family, part := range [families][]entry{entries[:split], entries[split:]} {
		first := int32(0)
		if family == ipv6 {
			first = int32(split)
		}
		said := sweep(family, part)
		for i := range said.values {
			if said.values[i] != none {
				said.values[i] += first
			}
		}
		t.why[family], t.decision[family] = said, join(said, b.rest(family), b.decide)
		t.why[family].ready(family)
		t.decision[family].ready(family)
	}
}

// rest is what the database says of a family.
func (b *builder) rest(family int) spans {
	if b.table.geo == nil {
		return spans{starts: []key{{}}, values: []int32{none}}
	}
	return b.table.geo.spans[family]
}

// decide is the order for what entries and database say of an address.
func (b *builder) decide(said, geo int32) int32 {
	t := b.table
	switch {
	case said != none:
		return t.places[t.entries[said].place].orderID
	case geo != none:
		return t.places[t.facts[geo]].orderID
	}
	return t.places[unknown].orderID
}

// order is the index of an order of datacenters.
func (b *builder) order(order []int) int32 {
	key := fmt.Sprint(order)
	i, ok := b.orders[key]
	if !ok {
		i = int32(len(b.orders))
		b.orders[key] = i
	}
	return i
}

// merge puts the entries of rules and subnets into one order; of the same prefix the rule stays.
func merge(rules, subnets []entry) []entry {
	out := make([]entry, 0, len(rules)+len(subnets))
	for len(rules) > 0 && len(subnets) > 0 {
		switch c := rules[0].prefix.Compare(subnets[0].prefix); {
		case c <= 0:
			out, rules = append(out, rules[0]), rules[1:]
			if c == 0 {
				subnets = subnets[1:]
			}
		default:
			out, subnets = append(out, subnets[0]), subnets[1:]
		}
	}
	return append(append(out, rules...), subnets...)
}

// order is the order of all datacenters that begins with some.
func (c Config) order(datacenters []string) []int {
	first := make([]int, 0, len(datacenters))
	for _, dc := range datacenters {
		if i := slices.Index(c.Datacenters, dc); i >= 0 {
			first = append(first, i)
		}
	}
	return fullOrder(first, len(c.Datacenters))
}

// unknownOrder is for clients of whom nothing is said: the node's own datacenter first (GT3).
func (c Config) unknownOrder() []int { return c.order([]string{c.Datacenter}) }

// ownFirst explains unknownOrder.
func (c Config) ownFirst() string {
	if !slices.Contains(c.Datacenters, c.Datacenter) {
		return ""
	}
	return fmt.Sprintf("; own datacenter %q first", c.Datacenter)
}

// prefixOrAddress reads a prefix, or an address as the prefix of just that.
func prefixOrAddress(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}
