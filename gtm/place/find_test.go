package place

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/maxmind/mmdbwriter"
)

func testConfig(t *testing.T) Config {
	return Config{
		Datacenters: []string{"us", "uk", "de", "jp"}, Datacenter: "us",
		Rules: []Rule{
			{"10.0.0.0/8", []string{"uk"}},
			{"10.1.0.0/16", []string{"de", "uk"}},
			{"2001:db8::/32", []string{"jp"}},
		},
		Resolvers: []Resolver{{"10.1.0.53", []string{"jp"}}, {"172.16.0.0/12", []string{"de"}}},
		Domains:   []Domain{{"Company.com.", []string{"uk"}}, {"us.company.com", []string{"us", "jp"}}},
		Reverse:   Reverse{Servers: []string{"127.0.0.1:53"}},
		Geo: Geo{
			File: writeIn(t, t.TempDir(), database(t, mmdbwriter.Options{},
				geoLine{"81.0.0.0/8", "EU", "DE", 0}, geoLine{"82.0.0.0/8", "EU", "FR", 0}, geoLine{"83.0.0.0/8", "AS", "JP", 64500},
				geoLine{"84.0.0.0/8", "AF", "ZA", 0}, geoLine{"10.9.0.0/16", "AS", "JP", 0}, geoLine{"2a00::/16", "EU", "DE", 0})),
			Rules: []GeoRule{
				{ASN: 64500, Datacenters: []string{"us"}}, {Country: "DE", Datacenters: []string{"de"}},
				{Continent: "EU", Datacenters: []string{"uk", "de"}}, {Continent: "AS", Datacenters: []string{"jp"}},
			},
		},
	}
}

func TestFind(t *testing.T) {
	cfg := testConfig(t)
	table := compiled(t, cfg).WithSites(siteSet(t,
		[]string{"10.1.0.0/16 Lab", "10.1.2.0/24 Prague", "10.3.0.0/16 Berlin", "10.4.0.0/16 Island", "81.1.0.0/16 uk"},
		[]string{"uk Prague 50", "DE Prague 20", "jp uk 500", "Berlin Prague 1"}))
	f := func(c Client, order, scope, prefix, source, by string) {
		t.Helper()
		p := table.Find(c)
		if got := cfg.names(p.Order); got != order {
			t.Errorf("%v: order %s, want %s", c, got, order)
		}
		if p.Scope.String() != scope || p.Prefix.String() != prefix {
			t.Errorf("%v: scope %s and prefix %s, want %s and %s", c, p.Scope, p.Prefix, scope, prefix)
		}
		if p.Source != source || p.By != by {
			t.Errorf("%v: source %q by %s, want %q by %s", c, p.Source, p.By, source, by)
		}
	}
	addr := func(s string) Client { return Client{Address: netip.MustParseAddr(s)} }
	ecs := func(s string) Client {
		return Client{Address: netip.MustParseAddr("10.1.0.53"), Subnet: netip.MustParsePrefix(s), Domain: ""}
	}
	const nobody = `no prefix holds the client; own datacenter "us" first`

	// The merged table: longest prefix of rules and sites, of the same the rule; then the database.
	f(addr("10.200.0.1"), "uk us de jp", "10.128.0.0/9", "10.0.0.0/8", "[[gtm.topology]]", ByAddress)
	f(addr("10.1.77.1"), "de uk us jp", "10.1.64.0/18", "10.1.0.0/16", "[[gtm.topology]]", ByAddress)
	f(addr("10.1.2.3"), "de uk jp us", "10.1.2.0/24", "10.1.2.0/24", "AD site Prague", ByAddress)
	f(addr("10.3.9.9"), "de uk jp us", "10.3.0.0/16", "10.3.0.0/16", "AD site Berlin", ByAddress)
	f(addr("10.4.0.1"), "us uk de jp", "10.4.0.0/16", "10.4.0.0/16",
		`AD site Island, from which no site links lead to a datacenter; own datacenter "us" first`, ByAddress)
	f(addr("81.7.7.7"), "de us uk jp", "81.4.0.0/14", "81.0.0.0/8", "mmdb: continent EU, country DE", ByAddress)
	f(addr("81.1.2.3"), "uk de jp us", "81.1.0.0/16", "81.1.0.0/16", "AD site uk", ByAddress)
	f(addr("82.1.1.1"), "uk de us jp", "82.0.0.0/8", "82.0.0.0/8", "mmdb: continent EU, country FR", ByAddress)
	f(addr("83.1.1.1"), "us uk de jp", "83.0.0.0/8", "83.0.0.0/8", "mmdb: continent AS, country JP, AS 64500", ByAddress)
	f(addr("84.1.1.1"), "us uk de jp", "84.0.0.0/6", "84.0.0.0/8",
		`mmdb: continent AF, country ZA, which no [[gtm.geo.rule]] has; own datacenter "us" first`, ByAddress)
	f(addr("10.9.0.1"), "uk us de jp", "10.8.0.0/13", "10.0.0.0/8", "[[gtm.topology]]", ByAddress)
	f(addr("2001:db8::1"), "jp us uk de", "2001:db8::/32", "2001:db8::/32", "[[gtm.topology]]", ByAddress)
	f(addr("2a00:1::1"), "de us uk jp", "2a00::/16", "2a00::/16", "mmdb: continent EU, country DE", ByAddress)
	f(addr("192.0.2.1"), "us uk de jp", "128.0.0.0/1", "invalid Prefix", nobody, ByAddress)
	f(addr("::ffff:10.1.2.3%eth0"), "de uk jp us", "10.1.2.0/24", "10.1.2.0/24", "AD site Prague", ByAddress)
	f(Client{}, "us uk de jp", "invalid Prefix", "invalid Prefix", nobody, ByAddress)

	// The client subnet comes before all else; its own length plays no part.
	f(ecs("10.1.2.0/24"), "de uk jp us", "10.1.2.0/24", "10.1.2.0/24", "AD site Prague", BySubnet)
	f(ecs("10.1.2.9/32"), "de uk jp us", "10.1.2.0/24", "10.1.2.0/24", "AD site Prague", BySubnet)
	f(ecs("10.1.0.0/16"), "de uk us jp", "10.1.0.0/23", "10.1.0.0/16", "[[gtm.topology]]", BySubnet)
	f(ecs("2001:db8:1:100::/56"), "jp us uk de", "2001:db8::/32", "2001:db8::/32", "[[gtm.topology]]", BySubnet)
	f(ecs("0.0.0.0/0"), "jp us uk de", "0.0.0.0/0", "10.1.0.53/32", "[[gtm.resolver]]", ByResolver)
	f(ecs("::/0"), "jp us uk de", "::/0", "10.1.0.53/32", "[[gtm.resolver]]", ByResolver)

	// Then the domain of the computer, then the map of resolvers.
	f(Client{Address: netip.MustParseAddr("10.1.2.3"), Domain: "PC7.US.Company.com."}, "us jp uk de",
		"10.1.2.3/32", "invalid Prefix", "[[gtm.domain]] us.company.com", ByDomain)
	f(Client{Address: netip.MustParseAddr("10.1.2.3"), Domain: "pc7.sales.company.com"}, "uk us de jp",
		"10.1.2.3/32", "invalid Prefix", "[[gtm.domain]] company.com", ByDomain)
	f(Client{Address: netip.MustParseAddr("10.1.2.3"), Domain: "pc7.notcompany.com"}, "de uk jp us",
		"10.1.2.0/24", "10.1.2.0/24", "AD site Prague", ByAddress)
	f(addr("172.20.1.1"), "de us uk jp", "172.20.1.1/32", "172.16.0.0/12", "[[gtm.resolver]]", ByResolver)
	withheld := ecs("0.0.0.0/0")
	withheld.Address, withheld.Domain = netip.MustParseAddr("10.1.2.3"), "pc7.us.company.com"
	f(withheld, "de uk jp us", "0.0.0.0/0", "10.1.2.0/24", "AD site Prague", ByAddress)

	if p := table.Find(addr("10.1.2.3")); !slices.Equal(p.Costs, []int{20, 50, 550, NoCost}) {
		t.Errorf("costs from Prague: %v", p.Costs)
	}
	if p := table.Find(addr("10.1.77.1")); p.Costs != nil {
		t.Errorf("costs of a rule: %v", p.Costs)
	}
}

// TestSitesChange: other sites make another table; rules and database stay, and the table before
// does not change.
func TestSitesChange(t *testing.T) {
	cfg := testConfig(t)
	cfg.Sites.LDIF = "sites.ldif"
	cfg.Sites.Map = []SiteMap{{"Prague", "jp"}, {"UK", "de"}}
	none := compiled(t, cfg)
	prague := none.WithSites(siteSet(t, []string{"10.1.2.0/24 prague", "192.0.2.0/24 uk"}, nil))
	moved := prague.WithSites(siteSet(t, []string{"10.1.3.0/24 Prague"}, nil))
	f := func(what string, table *Table, address, order, source string) {
		t.Helper()
		p := table.Find(Client{Address: netip.MustParseAddr(address)})
		if cfg.names(p.Order) != order || p.Source != source {
			t.Errorf("%s: %s gets %s by %q, want %s by %q", what, address, cfg.names(p.Order), p.Source, order, source)
		}
	}
	for range 2 {
		f("none", none, "10.1.2.1", "de uk us jp", "[[gtm.topology]]")
		f("first", prague, "10.1.2.1", "jp us uk de", "AD site prague")
		f("first", prague, "192.0.2.1", "de us uk jp", "AD site uk")
		f("moved", moved, "10.1.2.1", "de uk us jp", "[[gtm.topology]]")
		f("moved", moved, "10.1.3.1", "jp us uk de", "AD site Prague")
		f("moved", moved, "81.7.7.7", "de us uk jp", "mmdb: continent EU, country DE")
		f("gone", moved.WithSites(nil), "10.1.3.1", "de uk us jp", "[[gtm.topology]]")
	}
	set := siteSet(t, []string{"10.1.3.0/24 PRAGUE"}, nil)
	if got := none.MissingSites(set); !slices.Equal(got, []string{"UK"}) || none.MissingSites(nil) != nil {
		t.Errorf("sites that the directory lacks: %q", got)
	}
	if len(moved.places) >= len(prague.places)+2 {
		t.Errorf("%d places after a change, %d before: those of the old sites stay", len(moved.places), len(prague.places))
	}
}

// TestFindAllocatesNothing: a query never does (GT9).
func TestFindAllocatesNothing(t *testing.T) {
	table := compiled(t, testConfig(t))
	for what, c := range map[string]Client{
		"address":  {Address: netip.MustParseAddr("81.1.1.1")},
		"resolver": {Address: netip.MustParseAddr("10.1.0.53")},
		"subnet":   {Address: netip.MustParseAddr("10.1.0.53"), Subnet: netip.MustParsePrefix("2001:db8::/56")},
		"domain":   {Address: netip.MustParseAddr("10.1.2.3"), Domain: "pc7.us.company.com"},
		"nobody":   {Address: netip.MustParseAddr("192.0.2.1"), Domain: "pc7.example.com"},
	} {
		if n := testing.AllocsPerRun(100, func() { table.Find(c) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func TestHonours(t *testing.T) {
	f := func(ecs ECS, resolver string, want bool) {
		t.Helper()
		cfg := Config{Datacenters: []string{"us"}, ECS: ecs}
		if got := compiled(t, cfg).Honours(netip.MustParseAddr(resolver)); got != want {
			t.Errorf("%+v, %s: %v", ecs, resolver, got)
		}
	}
	f(ECS{}, "192.0.2.1", true)
	f(ECS{Off: true}, "192.0.2.1", false)
	f(ECS{Trusted: []string{"192.0.2.1", "10.0.0.0/8"}}, "192.0.2.1", true)
	f(ECS{Trusted: []string{"192.0.2.1", "10.0.0.0/8"}}, "::ffff:10.1.1.1", true)
	f(ECS{Trusted: []string{"192.0.2.1", "10.0.0.0/8"}}, "192.0.2.2", false)
	f(ECS{Trusted: []string{"2001:db8::/32"}}, "2001:db8::1%eth0", true)
	f(ECS{Trusted: []string{}}, "192.0.2.1", false)
}

func TestWantsDomain(t *testing.T) {
	table := compiled(t, testConfig(t))
	for address, want := range map[string]bool{"10.1.2.3": true, "10.1.0.53": false, "::ffff:172.16.0.1": false, "2001:db8::1": true} {
		if table.WantsDomain(netip.MustParseAddr(address)) != want {
			t.Errorf("%s: %v", address, !want)
		}
	}
	if table.WantsDomain(netip.Addr{}) || compiled(t, Config{}).WantsDomain(netip.MustParseAddr("10.1.2.3")) {
		t.Error("a look-up that is of no use")
	}
	if got := table.PickDomain([]string{"a.example", "b.company.com", "c.us.company.com", "d.us.company.com"}); got != "c.us.company.com" {
		t.Errorf("of several names: %q", got)
	}
	if got := table.PickDomain([]string{"a.example", "b.example"}); got != "a.example" || table.PickDomain(nil) != "" {
		t.Errorf("of names without a suffix: %q", got)
	}
}
