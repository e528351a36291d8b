package place

import (
	"errors"
	"strings"
	"testing"
	"time"

	"switchpoint/directory/sites"
	"switchpoint/internal/problem"
)

// goodConfig has everything; tests break one thing of it.
func goodConfig() Config {
	return Config{
		Datacenters: []string{"us", "uk"}, Datacenter: "us",
		Rules:     []Rule{{"10.0.0.0/8", []string{"us"}}, {"2001:db8::/32", []string{"uk", "us"}}},
		Resolvers: []Resolver{{"10.1.0.53", []string{"us"}}, {"10.2.0.0/24", []string{"uk"}}},
		Sites: Sites{
			Config: sites.Config{URLs: []string{"ldaps://dc1.company.com"}, BindDN: "svc@company.com", BindPassword: "env:SITES"},
			Map:    []SiteMap{{"Prague", "uk"}},
		},
		Geo:     Geo{File: "x.mmdb", Rules: []GeoRule{{Country: "DE", Datacenters: []string{"uk"}}, {Continent: "EU", Datacenters: []string{"uk"}}}},
		Domains: []Domain{{"us.company.com", []string{"us"}}, {"uk.company.com.", []string{"uk"}}},
		Reverse: Reverse{Servers: []string{"10.1.0.53:53", "[2001:db8::53]:53"}},
		ECS:     ECS{Trusted: []string{"10.0.0.0/8", "192.0.2.53"}},
	}
}

func TestValidate(t *testing.T) {
	for what, cfg := range map[string]Config{"everything": goodConfig(), "nothing": {}, "defaults": goodConfig().WithDefaults()} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	f := func(path, what string, breakIt func(*Config)) {
		t.Helper()
		cfg := goodConfig()
		breakIt(&cfg)
		var list problem.List
		if !errors.As(cfg.Validate(), &list) {
			t.Errorf("%s: no problem", path)
			return
		}
		for _, p := range list {
			if p.Path == path && strings.Contains(p.What, what) {
				if p.Cure == "" {
					t.Errorf("%v has no cure", p)
				}
				return
			}
		}
		t.Errorf("no problem at %q with %q in:\n%v", path, what, list)
	}
	f("topology[0].prefix", "no prefix", func(c *Config) { c.Rules[0].Prefix = "10.2.0.0" })
	f("topology[0].prefix", "beyond its length", func(c *Config) { c.Rules[0].Prefix = "10.2.0.1/16" })
	f("topology[0].prefix", "IPv6 form", func(c *Config) { c.Rules[0].Prefix = "::ffff:10.2.0.0/112" })
	f("topology[1].prefix", "also topology[0]", func(c *Config) { c.Rules[1] = c.Rules[0] })
	f("topology[1].datacenters", "no datacenters", func(c *Config) { c.Rules[1].Datacenters = nil })
	f("topology[1].datacenters[0]", `"mars"`, func(c *Config) { c.Rules[1].Datacenters = []string{"mars"} })
	f("topology[1].datacenters[1]", "twice", func(c *Config) { c.Rules[1].Datacenters = []string{"uk", "uk"} })
	f("resolver[0].prefix", "no prefix", func(c *Config) { c.Resolvers[0].Prefix = "dns1.company.com" })
	f("resolver[0].prefix", "no prefix", func(c *Config) { c.Resolvers[0].Prefix = "fe80::1%eth0" })
	f("resolver[1].prefix", "also resolver[0]", func(c *Config) { c.Resolvers[1].Prefix = "10.1.0.53/32" })
	f("resolver[1].datacenters", "no datacenters", func(c *Config) { c.Resolvers[1].Datacenters = nil })
	f("sites.ldif", "not from both", func(c *Config) { c.Sites.LDIF = "sites.ldif" })
	f("sites.urls", "no urls", func(c *Config) { c.Sites.URLs = nil })
	f("sites.urls", "no urls", func(c *Config) { c.Sites = Sites{Map: c.Sites.Map} })
	f("sites.refresh", "every 1ms", func(c *Config) { c.Sites.Refresh = time.Millisecond })
	f("sites.map[0].site", "no name", func(c *Config) { c.Sites.Map[0].Site = "" })
	f("sites.map[0].datacenter", `"mars"`, func(c *Config) { c.Sites.Map[0].Datacenter = "mars" })
	f("sites.map[1].site", "also map[0]", func(c *Config) { c.Sites.Map = append(c.Sites.Map, SiteMap{"PRAGUE", "us"}) })
	f("geo.file", "no database", func(c *Config) { c.Geo.File = "" })
	f("geo.rule", "no rule", func(c *Config) { c.Geo.Rules = nil })
	f("geo.rule[0].country", `"de"`, func(c *Config) { c.Geo.Rules[0].Country = "de" })
	f("geo.rule[0].country", `"Germany"`, func(c *Config) { c.Geo.Rules[0].Country = "Germany" })
	f("geo.rule[1].continent", `"Europe"`, func(c *Config) { c.Geo.Rules[1].Continent = "Europe" })
	f("geo.rule[1]", "same as geo.rule[0]", func(c *Config) { c.Geo.Rules[1] = c.Geo.Rules[0] })
	f("geo.rule[1].datacenters", "no datacenters", func(c *Config) { c.Geo.Rules[1].Datacenters = nil })
	f("domain[0].suffix", "no domain name", func(c *Config) { c.Domains[0].Suffix = "us..company.com" })
	f("domain[0].suffix", "no domain name", func(c *Config) { c.Domains[0].Suffix = "*.company.com" })
	f("domain[0].suffix", "no domain name", func(c *Config) { c.Domains[0].Suffix = "bücher.example" })
	f("domain[1].suffix", "also domain[0]", func(c *Config) { c.Domains[1].Suffix = "US.company.com." })
	f("domain[1].datacenters[0]", `"mars"`, func(c *Config) { c.Domains[1].Datacenters[0] = "mars" })
	f("reverse.servers", "no name server", func(c *Config) { c.Reverse.Servers = nil })
	f("reverse.servers", "no [[gtm.domain]]", func(c *Config) { c.Domains = nil })
	f("reverse.servers", "9 servers", func(c *Config) { c.Reverse.Servers = make([]string, 9) })
	f("reverse.servers[0]", "no address", func(c *Config) { c.Reverse.Servers[0] = "10.1.0.53" })
	f("reverse.servers[0]", "no address", func(c *Config) { c.Reverse.Servers[0] = "dns1:53" })
	f("reverse.servers[1]", "twice", func(c *Config) { c.Reverse.Servers[1] = c.Reverse.Servers[0] })
	f("reverse.timeout", "1h0m0s", func(c *Config) { c.Reverse.Timeout = time.Hour })
	f("reverse.keep", "-1s", func(c *Config) { c.Reverse.Keep = -time.Second })
	f("reverse.entries", "1 clients", func(c *Config) { c.Reverse.Entries = 1 })
	f("ecs.trusted[1]", "beyond its length", func(c *Config) { c.ECS.Trusted[1] = "192.0.2.53/24" })
}

func TestDefaultsAndEmpty(t *testing.T) {
	cfg := Config{}.WithDefaults()
	if cfg.Sites.Refresh != 15*time.Minute || cfg.Sites.ApproveAbove != 20 || cfg.Reverse.Timeout != 2*time.Second ||
		cfg.Reverse.Keep != time.Hour || cfg.Reverse.Entries != 100_000 {
		t.Errorf("defaults: %+v", cfg)
	}
	if !cfg.Empty() || goodConfig().Empty() || (Config{Sites: Sites{LDIF: "x"}}).Empty() || cfg.Sites.Configured() || !goodConfig().Sites.Configured() {
		t.Error("what is configured")
	}
}
