package gtm

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"switchpoint/directory/sites"
	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// threeSites is us, uk and de, with a chain of site links us - uk - de and a subnet in us.
const threeSites = `dn: CN=us,CN=Sites,CN=Configuration,DC=corp,DC=test
objectClass: site

dn: CN=uk,CN=Sites,CN=Configuration,DC=corp,DC=test
objectClass: site

dn: CN=de,CN=Sites,CN=Configuration,DC=corp,DC=test
objectClass: site

dn: CN=10.7.0.0/16,CN=Subnets,CN=Sites,CN=Configuration,DC=corp,DC=test
objectClass: subnet
siteObject: CN=us,CN=Sites,CN=Configuration,DC=corp,DC=test

dn: CN=A,CN=IP,CN=Inter-Site Transports,CN=Sites,CN=Configuration,DC=corp,DC=test
objectClass: siteLink
cost: 30
siteList: CN=us,CN=Sites,CN=Configuration,DC=corp,DC=test
siteList: CN=uk,CN=Sites,CN=Configuration,DC=corp,DC=test

dn: CN=B,CN=IP,CN=Inter-Site Transports,CN=Sites,CN=Configuration,DC=corp,DC=test
objectClass: siteLink
cost: 40
siteList: CN=uk,CN=Sites,CN=Configuration,DC=corp,DC=test
siteList: CN=de,CN=Sites,CN=Configuration,DC=corp,DC=test
`

// threePools has a steered name in three datacenters, all of them up: members with weights in us, the
// dr pool in de.
func threePools(t *testing.T, change func(*Config)) (*Table, *healthcheck.Snapshot) {
	t.Helper()
	cfg := goodConfig()
	cfg.Datacenters = []string{"us", "uk", "de"}
	n := &cfg.Names[0]
	n.Method = steer.MethodWeighted
	n.Pools[0].Members = append(n.Pools[0].Members, Member{Host: "lb2.us.company.com", Address: "10.1.0.2", Port: 443, Weight: 3})
	n.Pools = append(n.Pools, Pool{Datacenter: "de", Members: []Member{{Host: "lb.de.company.com", Address: "10.3.0.1", Port: 443}}})
	if change != nil {
		change(&cfg)
	}
	checks := healthcheck.Config{Monitors: []healthcheck.Monitor{{Name: "broker", Kind: "tcp"}}, Checks: cfg.Checks()}
	compiled, err := healthcheck.Compile(checks)
	if err != nil {
		t.Fatal(err)
	}
	engine := healthcheck.New(healthcheck.Options{})
	engine.SetTable(compiled)
	table, err := Compile(cfg, engine.Ref)
	if err != nil {
		t.Fatal(err)
	}
	return table, engine.AssumeUp()
}

// explainLines asks for an explanation as a person reads it.
func explainLines(t *testing.T, table *Table, snap *healthcheck.Snapshot, client, name, qtype string, w WhatIf) string {
	t.Helper()
	q, err := NewQuestion(name, qtype, netip.MustParseAddr(client))
	if err != nil {
		t.Fatal(err)
	}
	q.Draw = 5
	ans, err := table.Explain(snap, time.Unix(1e9, 0), q, w)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(ans.Reason.Lines(), ans.Lines()...), "\n")
}

func wantLines(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in\n%s", w, text)
		}
	}
}

// TestExplainTellsAll: prefix and source, order with the costs of the directory's site links, each
// candidate with its health, the draw, the TTL; and the same with a datacenter down.
func TestExplainTellsAll(t *testing.T) {
	covers.Req(t, "GT10")
	table, snap := threePools(t, nil)
	set, err := sites.ReadLDIF(strings.NewReader(threeSites))
	if err != nil {
		t.Fatal(err)
	}
	table = table.WithSites(set)
	wantLines(t, explainLines(t, table, snap, "10.7.1.2", "cb.company.com", "A", WhatIf{}),
		"client:      10.7.1.2 is in 10.7.0.0/16 (", "site us",
		"order:       us (cost 0), uk (cost 30), de (cost 70)",
		"policy:      weighted in the pool, topology between pools",
		"draw:        in us: drawn ", "lb.us.company.com 1/4, lb2.us.company.com 3/4",
		"us 10.1.0.1:443 lb.us.company.com.: up", "  - de 10.3.0.1:443 lb.de.company.com.: up",
		"datacenter:  us", "ttl:         ", "rcode:       NOERROR", "IN A 10.1.0.")
	wantLines(t, explainLines(t, table, snap, "10.7.1.2", "cb.company.com", "A", WhatIf{Down: []string{"us"}}),
		"us 10.1.0.1:443 lb.us.company.com.: down (supposed to be down)", "datacenter:  uk", "IN A 10.2.0.1")
	wantLines(t, explainLines(t, table, snap, "10.2.1.2", "_connection_broker._tcp.company.com", "SRV", WhatIf{Down: []string{"uk", "us"}}),
		"10.2.1.2 is in 10.2.0.0/16 ([[gtm.topology]])", "datacenter:  de", "matched:     steered services", "IN SRV 20 1 443 lb.de.company.com.")
}

// TestWhatIf: the end state, whatever limits and rules stand in the way of a real change.
func TestWhatIf(t *testing.T) {
	table, snap := threePools(t, func(c *Config) { c.Names[0].MinDatacenters = 2 })
	wantLines(t, explainLines(t, table, snap, "10.9.0.1", "cb.company.com", "A", WhatIf{Down: []string{"us", "uk", "de"}}),
		`all down:    policy "last-good"`, "supposed to be down")
	wantLines(t, explainLines(t, table, snap, "10.9.0.1", "cb.company.com", "A", WhatIf{Down: []string{"CB.company.com/us/10.1.0.2:443"}}),
		"datacenter:  us", "IN A 10.1.0.1", "lb2.us.company.com.: down (supposed to be down)")
	byMode, snap2 := threePools(t, func(c *Config) {
		c.Names[0].Between, c.Names[0].Pools[2].Mode = steer.BetweenMode, "dr"
	})
	wantLines(t, explainLines(t, byMode, snap2, "10.9.0.1", "cb.company.com", "A", WhatIf{Mode: "dr"}), "datacenter:  de", "IN A 10.3.0.1")
	wantLines(t, explainLines(t, byMode, snap2, "10.9.0.1", "cb.company.com", "A", WhatIf{}), "datacenter:  us")

	for _, c := range []struct {
		w    WhatIf
		want string
	}{
		{WhatIf{Down: []string{"fr"}}, `no datacenter "fr"; it is one of us, uk, de`},
		{WhatIf{Mode: "backup"}, "write primary or dr"},
	} {
		q, _ := NewQuestion("cb.company.com", "A", netip.MustParseAddr("10.9.0.1"))
		if _, err := table.Explain(snap, time.Unix(1e9, 0), q, c.w); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.w, err)
		}
	}
}

// TestServerExplains: a running node supposes beside what its operators have said, and nothing of it
// lasts.
func TestServerExplains(t *testing.T) {
	table, snap := threePools(t, nil)
	s, _ := startServer(t, Options{Name: "n1", Snapshot: func() *healthcheck.Snapshot { return snap }}, table)
	force(t, s, "*/uk", "down", false)
	q, err := NewQuestion("cb.company.com", "A", netip.MustParseAddr("10.9.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		w    WhatIf
		want string
	}{{WhatIf{}, "us"}, {WhatIf{Down: []string{"us"}}, "de"}, {WhatIf{}, "us"}} {
		ans, err := s.Explain(q, c.w)
		if err != nil || ans.Reason.Datacenter != c.want {
			t.Errorf("%v: %q, %v; want %q", c.w, ans.Reason.Datacenter, err, c.want)
		}
	}
	refusing, _ := threePools(t, func(c *Config) { c.ECS.Off = true })
	q.Subnet = netip.MustParsePrefix("10.2.0.0/24")
	if _, err := refusing.Explain(snap, time.Unix(1e9, 0), q, WhatIf{}); err == nil || !strings.Contains(err.Error(), "takes no client subnet") {
		t.Errorf("a subnet that nobody believes: %v", err)
	}
	empty, _ := startServer(t, Options{}, nil)
	if ans, err := empty.Explain(q, WhatIf{Down: []string{"us"}}); err != nil || ans.Rcode != rcodeServFail {
		t.Errorf("without a configuration: %v, %v", ans, err)
	}
}
