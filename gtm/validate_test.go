package gtm

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/problem"
)

// goodConfig is valid; tests break one thing of it.
func goodConfig() Config {
	return Config{
		Listen:      []string{"127.0.0.1:0"},
		Datacenter:  "us",
		Datacenters: []string{"us", "uk"},
		Zones:       []Zone{{Origin: "company.com", NS: []string{"ns1.example.net"}}},
		Names: []Name{{
			Name: "cb.company.com", Monitor: "broker",
			SRV: []Service{{Name: "_connection_broker._tcp.company.com"}},
			Pools: []Pool{
				{Datacenter: "us", Members: []Member{{Host: "lb.us.company.com", Address: "10.1.0.1", Port: 443}}},
				{Datacenter: "uk", Members: []Member{{Host: "lb.uk.company.com", Address: "10.2.0.1", Port: 443}}},
			},
		}},
		Topology: []Topology{{Prefix: "10.2.0.0/16", Datacenters: []string{"uk"}}},
	}
}

func anyRef(healthcheck.Key) healthcheck.Ref { return 0 }

// wantProblem checks that err holds a problem at path that says what, with a cure.
func wantProblem(t *testing.T, err error, path, what string) {
	t.Helper()
	var list problem.List
	if !errors.As(err, &list) {
		t.Fatalf("error %v is no problem list, want a problem at %s", err, path)
	}
	for _, p := range list {
		if p.Path == path && strings.Contains(p.What, what) {
			if p.Cure == "" {
				t.Errorf("the problem %v has no cure", p)
			}
			return
		}
	}
	t.Errorf("no problem at %q with %q in:\n%v", path, what, err)
}

func TestValidate(t *testing.T) {
	if err := goodConfig().Validate(); err != nil {
		t.Fatalf("the good configuration: %v", err)
	}
	if err := (Config{Datacenters: []string{"us"}, Datacenter: "us"}).Validate(); err != nil {
		t.Fatalf("no [gtm] section: %v", err)
	}
	f := func(path, what string, breakIt func(*Config)) {
		t.Helper()
		cfg := goodConfig()
		breakIt(&cfg)
		wantProblem(t, cfg.Validate(), path, what)
		if _, err := Compile(cfg, anyRef); err == nil {
			t.Error("Compile accepts what Validate refuses")
		}
	}
	member := func(c *Config) *Member { return &c.Names[0].Pools[1].Members[0] }

	f("listen", "no address", func(c *Config) { c.Listen = nil })
	f("listen[0]", "not ip:port", func(c *Config) { c.Listen[0] = "localhost:53" })
	f("listen[0]", "list each address", func(c *Config) { c.Listen[0] = "0.0.0.0:53" })
	f("listen[1]", "twice", func(c *Config) { c.Listen = []string{"127.0.0.1:53", "127.0.0.1:53"} })
	f("zone[0].origin", "empty label", func(c *Config) { c.Zones[0].Origin = "a..b" })
	f("zone[1].origin", "also zone[0]", func(c *Config) {
		c.Zones = append(c.Zones, Zone{Origin: "Company.COM.", NS: []string{"a.example"}})
	})
	f("zone[0]", "neither a file nor", func(c *Config) { c.Zones[0].NS = nil })
	f("zone[0].ns", "without a file", func(c *Config) { c.Zones[0].File = "x" })
	f("zone[0].ns[0]", "label of more than 63", func(c *Config) { c.Zones[0].NS[0] = strings.Repeat("a", 64) })
	f("name[0].name", "none of the zones", func(c *Config) { c.Names[0].Name = "cb.company.org" })
	f("name[1].name", "also name[0]", func(c *Config) { c.Names = append(c.Names, c.Names[0]) })
	f("name[0].method", `"fastest"`, func(c *Config) { c.Names[0].Method = "fastest" })
	f("name[0].all_down", `"panic"`, func(c *Config) { c.Names[0].AllDown = "panic" })
	f("name[0].ttl", "500ms", func(c *Config) { c.Names[0].TTL = 500 * time.Millisecond })
	f("name[0].ttl", "-1s", func(c *Config) { c.Names[0].TTL = -time.Second })
	f("name[0].pool", "no pool", func(c *Config) { c.Names[0].Pools = nil })
	f("name[0].pool[1].datacenter", `no datacenter "mars"`, func(c *Config) { c.Names[0].Pools[1].Datacenter = "mars" })
	f("name[0].pool[1].datacenter", "also the datacenter of pool[0]", func(c *Config) { c.Names[0].Pools[1].Datacenter = "us" })
	f("name[0].pool[1].members", "no members", func(c *Config) { c.Names[0].Pools[1].Members = nil })
	f("name[0].pool[1].members[0].address", `"lb.uk"`, func(c *Config) { member(c).Address = "lb.uk" })
	f("name[0].pool[1].members[0].address", "IPv6 form", func(c *Config) { member(c).Address = "::ffff:10.2.0.1" })
	f("name[0].pool[1].members[0].address", "not the address of a host", func(c *Config) { member(c).Address = "0.0.0.0" })
	f("name[0].pool[1].members[0].address", "no meaning in DNS", func(c *Config) { member(c).Address = "fe80::1%eth0" })
	f("name[0].pool[1].members[0].port", "no port", func(c *Config) { member(c).Port = 0 })
	f("name[0].pool[1].members[0].weight", "-1", func(c *Config) { member(c).Weight = -1 })
	f("name[0].pool[1].members[0].host", "empty label", func(c *Config) { member(c).Host = ".x" })
	f("name[0].pool[1].members[0].host", "wildcard", func(c *Config) { member(c).Host = "*.company.com" })
	f("name[0].pool[1].members[0].host", "steered name itself", func(c *Config) { member(c).Host = "CB.company.com" })
	f("name[0].pool[1].members[0].host", "also a host of pool[0]", func(c *Config) { member(c).Host = "LB.us.company.com." })
	f("name[0].srv[0].target", "cannot point at the wildcard", func(c *Config) {
		c.Names[0].Name, c.Names[0].SRV[0].Target = "*.cb.company.com", steer.TargetName
	})
	f("name[0].pool[1].members[1]", "also members[0]", func(c *Config) {
		p := &c.Names[0].Pools[1]
		p.Members = append(p.Members, p.Members[0])
	})
	f("name[0].srv[0]", "has no host", func(c *Config) { member(c).Host = "" })
	f("name[0].srv[0].target", `"host"`, func(c *Config) { c.Names[0].SRV[0].Target = "host" })
	f("name[0].srv[0].name", "none of the zones", func(c *Config) { c.Names[0].SRV[0].Name = "_x._tcp.example.org" })
	f("name[0].srv[1].name", "also name[0].srv[0]", func(c *Config) {
		c.Names[0].SRV = append(c.Names[0].SRV, c.Names[0].SRV[0])
	})
	f("name[0].srv[0].port", "no port", func(c *Config) {
		c.Names[0].Monitor = ""
		c.Names[0].SRV[0].Target = steer.TargetName
		c.Names[0].Pools[0].Members[0].Port = 0
	})
	name := func(path, what string, breakIt func(*Name)) {
		t.Helper()
		f("name[0]."+path, what, func(c *Config) { breakIt(&c.Names[0]) })
	}
	name("between", `"random"`, func(n *Name) { n.Between = "random" })
	name("answers", "-1", func(n *Name) { n.Answers = -1 })
	name("answers", "65", func(n *Name) { n.Answers = steer.MaxAnswers + 1 })
	name("ttl_min", "1m0s", func(n *Name) { n.TTLMin = time.Minute })
	name("ttl_min", "1.5s", func(n *Name) { n.TTLMin = 1500 * time.Millisecond })
	name("fallback", "no fallback addresses", func(n *Name) { n.AllDown = steer.AllDownFallback })
	name("fallback", "never answered", func(n *Name) { n.Fallback = []string{"192.0.2.80"} })
	name("fallback[0]", `"sorry"`, func(n *Name) { n.AllDown, n.Fallback = steer.AllDownFallback, []string{"sorry"} })
	name("fallback[1]", "also fallback[0]", func(n *Name) {
		n.AllDown, n.Fallback = steer.AllDownFallback, []string{"2001:db8::1", "2001:DB8::1"}
	})
	name("up_thresh", "1.5", func(n *Name) { n.UpThresh = 1.5 })
	name("up_thresh", "NaN", func(n *Name) { n.UpThresh = math.NaN() })
	name("failback_delay", "-1s", func(n *Name) { n.FailbackDelay = -time.Second })
	name("max_demotions", "-1", func(n *Name) { n.MaxDemotions = -1 })
	name("min_datacenters", "3 datacenters", func(n *Name) { n.MinDatacenters = 3 })
	name("min_datacenters", "-1 datacenters", func(n *Name) { n.MinDatacenters = -1 })
	name("pool[0].weight", "means nothing", func(n *Name) { n.Pools[0].Weight = 2 })
	name("pool[0].weight", "65536", func(n *Name) { n.Between, n.Pools[0].Weight = steer.BetweenWeighted, 65536 })
	name("pool[1].mode", "means nothing", func(n *Name) { n.Pools[1].Mode = steer.ModeDR })
	name("pool[1].mode", `"test"`, func(n *Name) { n.Between, n.Pools[1].Mode = steer.BetweenMode, "test" })
	name("pool", `no pool has the mode "dr"`, func(n *Name) { n.Between = steer.BetweenMode })
	name("pool", `no pool has the mode "primary"`, func(n *Name) {
		n.Between, n.Pools[0].Mode, n.Pools[1].Mode = steer.BetweenMode, steer.ModeDR, steer.ModeDR
	})

	f("topology[0].prefix", "no prefix", func(c *Config) { c.Topology[0].Prefix = "10.2.0.0" })
	f("topology[0].prefix", "beyond its length", func(c *Config) { c.Topology[0].Prefix = "10.2.0.1/16" })
	f("topology[0].prefix", "IPv6 form", func(c *Config) { c.Topology[0].Prefix = "::ffff:10.2.0.0/112" })
	f("topology[1].prefix", "also topology[0]", func(c *Config) { c.Topology = append(c.Topology, c.Topology[0]) })
	f("topology[0].datacenters", "no datacenters", func(c *Config) { c.Topology[0].Datacenters = nil })
	f("topology[0].datacenters[0]", `"mars"`, func(c *Config) { c.Topology[0].Datacenters = []string{"mars"} })
	f("topology[0].datacenters[1]", "twice", func(c *Config) { c.Topology[0].Datacenters = []string{"uk", "uk"} })
}

func TestValidateReportsEveryProblem(t *testing.T) {
	cfg := goodConfig()
	cfg.Listen[0] = "x"
	cfg.Names[0].Method = "x"
	cfg.Topology[0].Prefix = "x"
	var list problem.List
	if !errors.As(cfg.Validate(), &list) || len(list) != 3 {
		t.Errorf("want 3 problems, got:\n%v", cfg.Validate())
	}
}

// TestCompileRefusesContradictions has what only shows with the zone files at hand.
func TestCompileRefusesContradictions(t *testing.T) {
	f := func(path, what, records string, change func(*Config)) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "company.zone")
		text := "@ 300 SOA ns.example.net. h.example.net. 1 2 3 4 5\n@ 300 NS ns.example.net.\n" + records + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := goodConfig()
		cfg.Zones = []Zone{{Origin: "company.com", File: file}}
		if change != nil {
			change(&cfg)
		}
		_, err := Compile(cfg, anyRef)
		wantProblem(t, err, path, what)
	}
	f("name[0].name", "has a CNAME", "cb 300 CNAME www", nil)
	f("name[0].name", "below a delegation", "cb 300 NS ns.example.net.", nil)
	f("name[0].srv[0].name", "below a delegation", "_tcp 300 NS ns.example.net.", nil)
	f("name[0].srv[0].name", "below a delegation or a DNAME", "_tcp 300 DNAME x.example.net.", nil)
	f("name[0].pool[0].members[0].host", "other addresses", "lb.us 300 A 10.9.9.9", nil)
	f("name[0].pool[0].members[0].host", "is an alias", "lb.us 300 CNAME cb", nil)
	f("name[0].pool[1].members[0].host", "steered twice", "", func(c *Config) {
		other := c.Names[0]
		other.Name, other.SRV = "lb.uk.company.com", nil
		other.Pools = []Pool{{Datacenter: "us", Members: []Member{{Address: "10.1.0.1", Port: 443}}}}
		c.Names = append(c.Names, other)
	})
	f("zone[1].ns[0]", "no address for it", "", func(c *Config) {
		c.Zones = append(c.Zones, Zone{Origin: "cb.company.com", NS: []string{"ns.company.com"}})
	})
	f("zone[0].file", "no such file", "", func(c *Config) { c.Zones[0].File += ".gone" })
	f("zone[0].file", "company.zone:3: bad A A", "www 300 A 1.2.3", nil)
}

func TestChecksAreUnique(t *testing.T) {
	cfg := goodConfig()
	second := cfg.Names[0]
	second.Name, second.SRV = "vdi.company.com", nil
	unmonitored := second
	unmonitored.Name, unmonitored.Monitor = "x.company.com", ""
	cfg.Names = append(cfg.Names, second, unmonitored)
	got := cfg.Checks()
	want := []healthcheck.Key{{Address: "10.1.0.1:443", Monitor: "broker"}, {Address: "10.2.0.1:443", Monitor: "broker"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestHostSetHasOneTTL: a host that two names with different TTLs give addresses has one set with
// the lower of them (RFC 2181 section 5.2).
func TestHostSetHasOneTTL(t *testing.T) {
	for _, ttls := range [][2]time.Duration{{20 * time.Second, 60 * time.Second}, {60 * time.Second, 20 * time.Second}} {
		cfg := goodConfig()
		cfg.Names[0].TTL, cfg.Names[0].Monitor = ttls[0], ""
		cfg.Names = append(cfg.Names, Name{Name: "vdi.company.com", TTL: ttls[1], Pools: []Pool{
			{Datacenter: "us", Members: []Member{{Host: "lb.us.company.com", Address: "10.1.0.2", Port: 443}}},
		}})
		ans := resolve(compiled(t, cfg), (*healthcheck.Snapshot)(nil).Get, Question{Name: "lb.us.company.com.", Type: typeA})
		if len(ans.Answer) != 2 {
			t.Fatalf("answer: %v", ans.Answer)
		}
		for _, rr := range ans.Answer {
			if rr.Header().Ttl != 20 {
				t.Errorf("TTLs %v: %v", ttls, rr)
			}
		}
	}
}
