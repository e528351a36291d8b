package gtm

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/gtm/place"
	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// placeConfig is one name with an address in each of three datacenters: 10.0.0.1 in us, 10.0.0.2
// in uk, 10.0.0.3 in de.
func placeConfig() Config {
	cfg := Config{
		Listen: []string{"127.0.0.1:0"}, Datacenters: []string{"us", "uk", "de"}, Datacenter: "us",
		Zones: []Zone{{Origin: "company.com", NS: []string{"ns.example.net"}}},
		Names: []Name{{Name: "cb.company.com"}},
	}
	for i, dc := range cfg.Datacenters {
		address := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}).String()
		cfg.Names[0].Pools = append(cfg.Names[0].Pools, Pool{Datacenter: dc, Members: []Member{{Address: address}}})
	}
	return cfg
}

const (
	answerUS = "10.0.0.1"
	answerUK = "10.0.0.2"
	answerDE = "10.0.0.3"
)

// TestTopology plays static rules, Active Directory sites from an LDIF file, a MaxMind database,
// client subnets and the list of trusted resolvers together over real sockets.
func TestTopology(t *testing.T) {
	covers.Req(t, "GT4")
	cfg := placeConfig()
	cfg.Topology = []Topology{
		{Prefix: "10.0.0.0/8", Datacenters: []string{"us"}},
		{Prefix: "10.7.0.0/16", Datacenters: []string{"de", "uk"}},
		{Prefix: "127.0.51.0/24", Datacenters: []string{"uk"}},
	}
	cfg.Geo = place.Geo{
		File:  countries(t, t.TempDir(), "81.0.0.0/8 DE", "82.0.0.0/8 GB", "10.0.0.0/8 DE", "2a00::/16 GB"),
		Rules: []place.GeoRule{{Country: "DE", Datacenters: []string{"de"}}, {Country: "GB", Datacenters: []string{"uk"}}},
	}
	cfg.Sites.LDIF = "sites.ldif"
	cfg.Sites.Map = []place.SiteMap{{Site: "London", Datacenter: "uk"}, {Site: "Frankfurt", Datacenter: "de"}}
	cfg.ECS.Trusted = []string{"127.0.50.0/24"}
	s, addr := startServer(t, Options{}, compiled(t, cfg))
	const trusted, stranger = "127.0.50.1", "127.0.51.1"
	ask := func(from string, changes ...func(*dns.Msg)) *dns.Msg {
		t.Helper()
		return askFrom(t, from, addr, question("cb.company.com.", dns.TypeA, changes...))
	}
	f := func(what, network, want string, scope int) {
		t.Helper()
		m := ask(trusted, subnet(network))
		if got := only(t, m); got != want || scopeOf(t, m) != scope {
			t.Errorf("%s, %s: %s with scope %d, want %s with scope %d", what, network, got, scopeOf(t, m), want, scope)
		}
	}
	f("longest prefix", "10.7.1.0/24", answerDE, 16)
	f("shorter prefix", "10.9.1.0/24", answerUS, 13)
	f("no site yet", "10.7.8.0/24", answerDE, 16)
	f("database", "81.2.3.0/24", answerDE, 8)
	f("database, IPv6", "2a00:1:2:300::/56", answerUK, 16)
	f("a rule comes before the database", "10.1.1.0/24", answerUS, 14)
	f("nobody knows", "198.51.100.0/24", answerUS, 1)
	f("a source prefix that holds two kinds of clients", "10.0.0.0/8", answerUS, 14)
	f("a source prefix of length 0", "0.0.0.0/0", answerUS, 0)

	// Sites change at run time, and stay over a new table. The site Lab has no datacenter: the
	// cheapest one is over Frankfurt.
	s.SetSites(forest(t,
		[]string{"10.7.8.0/24 London", "10.0.0.0/8 Frankfurt", "192.0.2.0/24 Lab", "2001:db8::/32 London"},
		[]string{"London Frankfurt 100", "Lab London 80", "Lab Frankfurt 30"}))
	for range 2 {
		f("a subnet inside a rule", "10.7.8.0/24", answerUK, 24)
		f("the same prefix: the rule", "10.9.1.0/24", answerUS, 13)
		f("cost of site links", "192.0.2.128/25", answerDE, 24)
		f("a subnet, IPv6", "2001:db8:1::/48", answerUK, 32)
		f("database", "82.2.3.0/24", answerUK, 8)
		s.SetTable(compiled(t, cfg))
	}
	ans, err := s.Explain(Question{Name: "cb.company.com.", Type: typeA, Client: netip.MustParseAddr("192.0.2.7")}, WhatIf{})
	if err != nil {
		t.Fatal(err)
	}
	if text := ans.Reason.String(); !strings.Contains(text, "192.0.2.7 is in 192.0.2.0/24 (AD site Lab)") ||
		!strings.Contains(text, "de (cost 30), uk (cost 80), us (no path)") {
		t.Errorf("explained as\n%s", text)
	}

	if m := ask(stranger, subnet("10.7.1.0/24")); only(t, m) != answerUK || scopeOf(t, m) != -1 {
		t.Errorf("a resolver that is not trusted gets %v", m)
	}
	if m := ask(trusted); only(t, m) != answerUS || m.IsEdns0() != nil {
		t.Errorf("a query without EDNS gets %v", m)
	}
	for _, bad := range []string{"00011801c00002", "00012100c000020100", "000107000b", "0002810020010db8", "00011800c000"} {
		if m := ask(trusted, with(optionSubnet, unhex(t, bad)...)); m.Rcode != dns.RcodeFormatError {
			t.Errorf("%s: %v", bad, m)
		}
	}
	s.SetSites(nil)
	f("no sites any more", "10.7.8.0/24", answerDE, 16)
}

// TestResolverMap: a resolver of the map is answered for its datacenters unless it tells the
// client's network, and the metrics show how many queries come with none.
func TestResolverMap(t *testing.T) {
	covers.Req(t, "GT12")
	cfg := placeConfig()
	cfg.Topology = []Topology{{Prefix: "127.0.0.0/8", Datacenters: []string{"us"}}, {Prefix: "10.7.0.0/16", Datacenters: []string{"de"}}}
	cfg.Resolvers = []place.Resolver{{Prefix: "127.0.52.0/24", Datacenters: []string{"de"}}, {Prefix: "127.0.52.53", Datacenters: []string{"uk"}}}
	reg := prometheus.NewPedanticRegistry()
	s, addr := startServer(t, Options{Metrics: reg}, compiled(t, cfg))
	f := func(from, want string, changes ...func(*dns.Msg)) {
		t.Helper()
		if got := only(t, askFrom(t, from, addr, question("cb.company.com.", dns.TypeA, changes...))); got != want {
			t.Errorf("%s gets %s, want %s", from, got, want)
		}
	}
	f("127.0.52.53", answerUK)
	f("127.0.52.54", answerDE)
	f("127.0.53.1", answerUS)
	f("127.0.52.53", answerDE, subnet("10.7.1.0/24"))
	f("127.0.52.53", answerUK, subnet("0.0.0.0/0"))
	askFrom(t, "127.0.52.53", addr, question("company.com.", dns.TypeSOA)) // steers nothing, and is not counted
	want := `
# HELP switchpoint_gtm_client_source_total DNS queries for steered names, by what said where the client is (subnet, domain, resolver or address) and by what became of its client subnet (used, withheld, ignored, or none where the query has none).
# TYPE switchpoint_gtm_client_source_total counter
switchpoint_gtm_client_source_total{ecs="none",source="address"} 1
switchpoint_gtm_client_source_total{ecs="none",source="resolver"} 2
switchpoint_gtm_client_source_total{ecs="used",source="subnet"} 1
switchpoint_gtm_client_source_total{ecs="withheld",source="resolver"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "switchpoint_gtm_client_source_total"); err != nil {
		t.Error(err)
	}
	ans, err := s.Explain(Question{Name: "cb.company.com.", Type: typeA, Client: netip.MustParseAddr("127.0.52.53")}, WhatIf{})
	if err != nil || !strings.Contains(ans.Reason.String(), "127.0.52.53 is a resolver and is in 127.0.52.53/32 ([[gtm.resolver]])") {
		t.Errorf("explained as %v\n%s", err, ans.Reason.String())
	}
}

// TestScopeOfSeveralNames: an answer that several steered names have a part in has the longest of
// their scopes.
func TestScopeOfSeveralNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "company.zone")
	text := "@ 300 SOA ns.example.net. h.example.net. 1 2 3 4 5\n@ 300 NS ns.example.net.\n" +
		"_a._tcp 300 SRV 1 1 443 cb\n_a._tcp 300 SRV 2 1 443 hash\n_b._tcp 300 SRV 1 1 443 hash\n_b._tcp 300 SRV 2 1 443 cb\nalias 300 CNAME hash\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := placeConfig()
	cfg.Zones = []Zone{{Origin: "company.com", File: file}}
	hash := cfg.Names[0]
	hash.Name, hash.Method = "hash.company.com", steer.MethodHash
	cfg.Names = append(cfg.Names, hash)
	table := compiled(t, cfg)
	for name, want := range map[string]int{"cb": 0, "hash": 24, "alias": 24, "_a._tcp": 24, "_b._tcp": 24, "nothing": 0} {
		q := Question{Name: name + ".company.com.", Type: typeA, Subnet: netip.MustParsePrefix("192.0.2.0/30")}
		if strings.HasPrefix(name, "_") {
			q.Type = typeSRV
		}
		if ans := resolve(table, (*healthcheck.Snapshot)(nil).Get, q); ans.Scope != want {
			t.Errorf("%s: scope %d, want %d", name, ans.Scope, want)
		}
	}
}
