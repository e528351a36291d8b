package gtm

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"switchpoint/directory/sites"
	"switchpoint/gtm/place"
	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

// TestOneScopeOneAnswer: any two clients inside one returned scope get the same candidates, in the
// same order: for every method and every way between pools, over random rules, sites, databases,
// health, names that are aliases, and answers that several names have a part in.
func TestOneScopeOneAnswer(t *testing.T) {
	dir := t.TempDir()
	zone := filepath.Join(dir, "c.zone")
	if err := os.WriteFile(zone, []byte("@ 300 SOA ns.example.net. h.example.net. 1 2 3 4 5\n@ 300 NS ns.example.net.\n"+
		"alias 300 CNAME n0\n_both._tcp 300 SRV 1 1 443 n0\n_both._tcp 300 SRV 2 1 443 n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	longer := 0
	rapid.Check(t, func(t *rapid.T) {
		cfg, set := drawPlaces(t, dir)
		cfg.Zones = []Zone{{Origin: "c", File: zone}}
		health := drawNames(t, &cfg)
		keys := cfg.Checks()
		table, err := Compile(cfg, func(k healthcheck.Key) healthcheck.Ref { return healthcheck.Ref(slices.Index(keys, k)) })
		if err != nil {
			t.Fatal(err)
		}
		table = table.WithSites(set)
		status := func(r healthcheck.Ref) healthcheck.Status { return health[keys[r].Address] }
		q := Question{Client: netip.MustParseAddr("192.0.2.53"), Draw: rapid.Uint64().Draw(t, "draw")}
		q.Name = rapid.SampledFrom([]string{"n0.c.", "n1.c.", "alias.c.", "_s0._tcp.c.", "_both._tcp.c."}).Draw(t, "name")
		q.Type = typeA
		if strings.HasPrefix(q.Name, "_") {
			q.Type = typeSRV
		}
		q.Subnet = drawSubnet(t)
		ans := resolve(table, status, q)
		if len(ans.Answer) == 0 || ans.Rcode != rcodeNoError {
			if ans.Scope != 0 {
				t.Fatalf("a negative answer for %s has the scope %d", q.Subnet, ans.Scope)
			}
			return
		}
		if ans.Scope > q.Subnet.Bits() {
			longer++
		}
		for range 8 {
			other := q
			other.Client = netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "resolver")})
			client := inside(t, netip.PrefixFrom(q.Subnet.Addr(), ans.Scope).Masked())
			other.Subnet = netip.PrefixFrom(client, rapid.IntRange(max(1, ans.Scope), client.BitLen()).Draw(t, "source")).Masked()
			got := resolve(table, status, other)
			if fmt.Sprint(got.Answer, got.Extra) != fmt.Sprint(ans.Answer, ans.Extra) {
				t.Fatalf("%s got the scope /%d and\n%v %v\nbut %s within it gets\n%v %v", q.Subnet, ans.Scope, ans.Answer, ans.Extra, other.Subnet, got.Answer, got.Extra)
			}
			if a, b := ans.Reason.Candidates(), got.Reason.Candidates(); fmt.Sprint(a) != fmt.Sprint(b) {
				t.Fatalf("%s got the candidates\n%v\nand %s within its scope\n%v", q.Subnet, a, other.Subnet, b)
			}
		}
	})
	if longer == 0 {
		t.Error("no answer ever had a scope longer than the source prefix")
	}
}

// drawPlaces makes random rules, sites and a database.
func drawPlaces(t *rapid.T, dir string) (Config, *sites.Set) {
	dcs := []string{"us", "uk", "de"}
	cfg := Config{Listen: []string{"127.0.0.1:0"}, Datacenters: dcs, Datacenter: rapid.SampledFrom(dcs).Draw(t, "own")}
	seen := map[netip.Prefix]bool{}
	for range rapid.IntRange(0, 6).Draw(t, "rules") {
		if p := drawSubnet(t); !seen[p] {
			seen[p] = true
			cfg.Topology = append(cfg.Topology, Topology{Prefix: p.String(), Datacenters: rapid.SliceOfNDistinct(rapid.SampledFrom(dcs), 1, 3, rapid.ID).Draw(t, "order")})
		}
	}
	subnets := []string{"198.51.100.0/24 lab"}
	seen = map[netip.Prefix]bool{}
	for range rapid.IntRange(0, 6).Draw(t, "subnets") {
		if p := drawSubnet(t); !seen[p] {
			seen[p] = true
			subnets = append(subnets, p.String()+" "+rapid.SampledFrom([]string{"us", "uk", "lab"}).Draw(t, "site"))
		}
	}
	lines := []string{"198.51.100.0/24 DE"}
	for range rapid.IntRange(0, 6).Draw(t, "networks") {
		lines = append(lines, drawSubnet(t).String()+" "+rapid.SampledFrom([]string{"DE", "GB", "FR"}).Draw(t, "country"))
	}
	cfg.Geo = place.Geo{File: countries(t, dir, lines...), Rules: []place.GeoRule{
		{Country: "DE", Datacenters: []string{"de"}}, {Datacenters: []string{"uk"}},
	}}
	return cfg, forest(t, subnets, []string{"us uk 10", "uk lab 5"})
}

// drawNames gives a configuration two names of any method, and health to their members.
func drawNames(t *rapid.T, cfg *Config) map[string]healthcheck.Status {
	health := map[string]healthcheck.Status{}
	for n := range 2 {
		name := Name{
			Name: fmt.Sprintf("n%d.c", n), Monitor: "m", SRV: []Service{{Name: fmt.Sprintf("_s%d._tcp.c", n)}},
			Method: rapid.SampledFrom([]string{
				steer.MethodRoundRobin, steer.MethodWeighted, steer.MethodFailover, steer.MethodHash, steer.MethodHash, steer.MethodLeastLoad,
			}).Draw(t, "method"),
			Between: rapid.SampledFrom([]string{steer.BetweenTopology, steer.BetweenTopology, steer.BetweenFailover, steer.BetweenWeighted}).Draw(t, "between"),
			AllDown: rapid.SampledFrom([]string{steer.AllDownAll, steer.AllDownNoData, steer.AllDownServFail}).Draw(t, "policy"),
		}
		for i, dc := range cfg.Datacenters {
			p := Pool{Datacenter: dc}
			for j := range rapid.IntRange(1, 3).Draw(t, "members") {
				addr := netip.AddrFrom4([4]byte{10, 100 + byte(n), byte(i), byte(j)})
				p.Members = append(p.Members, Member{Host: fmt.Sprintf("h%d.%s.n%d.c", j, dc, n), Address: addr.String(), Port: 443})
				health[netip.AddrPortFrom(addr, 443).String()] = healthcheck.Status{
					State: rapid.SampledFrom([]healthcheck.State{healthcheck.Up, healthcheck.Up, healthcheck.Overloaded, healthcheck.Down}).Draw(t, "state"),
					Load:  healthcheck.Load{Active: 0, Capacity: rapid.IntRange(-1, 9).Draw(t, "capacity")},
				}
			}
			name.Pools = append(name.Pools, p)
		}
		cfg.Names = append(cfg.Names, name)
	}
	return health
}

// drawSubnet makes a network near those of other draws.
func drawSubnet(t *rapid.T) netip.Prefix {
	if rapid.Bool().Draw(t, "ipv6") {
		raw := [16]byte{0x20, 0x01, 0x0d, 0xb8, rapid.Byte().Draw(t, "a"), 1, rapid.SampledFrom([]byte{0, 1, 0x80}).Draw(t, "b")}
		return netip.PrefixFrom(netip.AddrFrom16(raw), rapid.SampledFrom([]int{28, 33, 40, 48, 56, 57, 64, 128}).Draw(t, "length")).Masked()
	}
	raw := [4]byte{10, rapid.SampledFrom([]byte{0, 1, 128, 255}).Draw(t, "a"), rapid.Byte().Draw(t, "b"), rapid.SampledFrom([]byte{0, 1, 128}).Draw(t, "c")}
	return netip.PrefixFrom(netip.AddrFrom4(raw), rapid.IntRange(5, 32).Draw(t, "length")).Masked()
}

// inside draws an address of a network: one of its ends, one near other networks, or any.
func inside(t *rapid.T, network netip.Prefix) netip.Addr {
	raw := network.Addr().AsSlice()
	fill := rapid.SampledFrom([]string{"zeros", "ones", "near", "any"}).Draw(t, "fill")
	near := drawSubnet(t).Addr().AsSlice()
	for bit := network.Bits(); bit < network.Addr().BitLen(); bit++ {
		mask := byte(0x80) >> (bit % 8)
		switch {
		case fill == "ones", fill == "any" && rapid.Bool().Draw(t, "bit"):
			raw[bit/8] |= mask
		case fill == "near" && len(near) == len(raw):
			raw[bit/8] |= near[bit/8] & mask
		}
	}
	a, _ := netip.AddrFromSlice(raw)
	return a
}

// TestHashKeepsANetwork: with method hash the scope is never shorter than what stays together, and
// clients without a client subnet are kept together by their own network.
func TestHashKeepsANetwork(t *testing.T) {
	cfg := goodConfig()
	cfg.Names[0].Method = steer.MethodHash
	for i := range 5 {
		cfg.Names[0].Pools[0].Members = append(cfg.Names[0].Pools[0].Members, Member{
			Host: fmt.Sprintf("m%d.us.company.com", i), Address: fmt.Sprintf("10.1.1.%d", i), Port: 443,
		})
	}
	table := compiled(t, cfg)
	up := func(healthcheck.Ref) healthcheck.Status { return healthcheck.Status{State: healthcheck.Up} }
	f := func(client, subnet string, scope int) string {
		t.Helper()
		q := Question{Name: "cb.company.com.", Type: typeA, Client: netip.MustParseAddr(client)}
		if subnet != "" {
			q.Subnet = netip.MustParsePrefix(subnet)
		}
		ans := resolve(table, up, q)
		if subnet != "" && ans.Scope != scope {
			t.Errorf("%s from %s: scope %d, want %d", subnet, client, ans.Scope, scope)
		}
		return fmt.Sprint(ans.Answer)
	}
	if f("192.0.2.1", "", 0) != f("192.0.2.254", "", 0) || f("192.0.2.1", "", 0) != f("::ffff:192.0.2.1", "", 0) {
		t.Error("one network, two members")
	}
	if f("198.51.100.1", "192.0.2.0/24", 24) != f("192.0.2.9", "", 0) {
		t.Error("a client subnet gets another member than its clients")
	}
	if f("192.0.2.1", "192.0.2.77/32", 24) != f("192.0.2.1", "192.0.2.0/24", 24) || f("192.0.2.1", "192.0.0.0/16", 24) != f("192.0.2.1", "192.0.0.0/24", 24) {
		t.Error("the length of the source prefix plays a part")
	}
	if f("192.0.2.1", "2001:db8:0:100::/56", 56) != f("192.0.2.1", "2001:db8:0:1ff::1/128", 56) {
		t.Error("one IPv6 network, two members")
	}
	if f("192.0.2.1", "0.0.0.0/0", 0) != f("192.0.2.200", "", 0) {
		t.Error("a resolver that withholds the subnet gets another member than by its own address")
	}
	members := map[string]bool{}
	for i := range 50 {
		members[f("192.0.2.1", fmt.Sprintf("172.16.%d.0/24", i), 24)] = true
	}
	if len(members) < 4 {
		t.Errorf("50 networks share %d of 6 members", len(members))
	}
}

// TestSubnetNotHonoured: off, or from a resolver that is not trusted, a client subnet plays no part
// and is not answered; a malformed one is FORMERR all the same.
func TestSubnetNotHonoured(t *testing.T) {
	for what, ecs := range map[string]place.ECS{"off": {Off: true}, "others are trusted": {Trusted: []string{"192.0.2.0/24"}}} {
		rows(t, func(cfg *Config) { cfg.ECS = ecs }, func(t *testing.T, c caller) {
			m := c.want(what, dns.RcodeSuccess, question("cb.company.com.", dns.TypeA, subnet("10.2.3.0/24")))
			if got := only(t, m); got != "10.1.0.1" || scopeOf(t, m) != -1 || m.IsEdns0() == nil {
				t.Errorf("%s: %v", what, m)
			}
			c.want(what+", malformed", dns.RcodeFormatError, question("cb.company.com.", dns.TypeA, with(optionSubnet, 0, 1, 24, 24, 10, 2, 3)))
		})
	}
}
