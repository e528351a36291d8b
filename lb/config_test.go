package lb

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/internal/problem"
)

// fault is a configuration with one problem at most.
type fault struct {
	name string
	edit func(*Config) // of a good one
	path string        // of the only problem; empty for none
	what string
}

// runFaults checks that Validate and Compile say the same of each fault, at its place and with a cure.
func runFaults(t *testing.T, good func() Config, faults []fault) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			cfg := good()
			f.edit(&cfg)
			err := cfg.Validate()
			if _, cerr := Compile(cfg, noRef); !reflect.DeepEqual(err, cerr) {
				t.Errorf("Validate says %v, Compile %v", err, cerr)
			}
			if f.path == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			var list problem.List
			if !errors.As(err, &list) || len(list) != 1 {
				t.Fatalf("got %v", err)
			}
			if p := list[0]; p.Path != f.path || !strings.Contains(p.What, f.what) || p.Cure == "" {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "lb", 2, "127.0.0.1")
	_, otherKey := ca.issue(t, "other", 3, "127.0.0.1")
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := func() Config {
		return plainConfig([]Member{{Name: "b1", Address: "10.0.0.1:80"}, {Name: "b2", Address: "broker2.company.com:80"}})
	}
	runFaults(t, base, []fault{
		{"good", func(*Config) {}, "", ""},
		{"nothing at all", func(c *Config) { *c = Config{} }, "", ""},
		{"good TLS", func(c *Config) { c.Listeners[0].Cert, c.Listeners[0].Key = cert, key }, "", ""},
		{"unknown pool", func(c *Config) { c.Listeners[0].Pool = "x" }, "listener[0].pool", `pool "x" does not exist`},
		{"no pool", func(c *Config) { c.Listeners[0].Pool = "" }, "listener[0].pool", "no pool"},
		{"bad listen", func(c *Config) { c.Listeners[0].Listen = "localhost" }, "listener[0].listen", "localhost"},
		{"no listen", func(c *Config) { c.Listeners[0].Listen = "" }, "listener[0].listen", "empty"},
		{"no listener name", func(c *Config) { c.Listeners[0].Name = "" }, "listener[0].name", "empty"},
		{"two listeners on one address", func(c *Config) {
			c.Listeners[0].Listen = "127.0.0.1:80"
			c.Listeners = append(c.Listeners, Listener{Name: "2", Listen: "127.0.0.1:80", Pool: "brokers"})
		}, "listener[1].listen", "already"},
		{"cert without key", func(c *Config) { c.Listeners[0].Cert = cert }, "listener[0].key", "without key"},
		{"key without cert", func(c *Config) { c.Listeners[0].Key = key }, "listener[0].cert", "without cert"},
		{"no such cert", func(c *Config) { c.Listeners[0].Cert, c.Listeners[0].Key = "/no/such.pem", key }, "listener[0].cert", "/no/such.pem"},
		{"no such key", func(c *Config) { c.Listeners[0].Cert, c.Listeners[0].Key = cert, "/no/such.pem" }, "listener[0].key", "/no/such.pem"},
		{"junk cert", func(c *Config) { c.Listeners[0].Cert, c.Listeners[0].Key = junk, key }, "listener[0].cert", junk},
		{"key of another cert", func(c *Config) { c.Listeners[0].Cert, c.Listeners[0].Key = cert, otherKey }, "listener[0].cert", "private key does not match"},
		{"bad trusted proxy", func(c *Config) { c.Listeners[0].TrustedProxies = []string{"10.0.0.0/8", "10.0.0.0/33"} }, "listener[0].trusted_proxies[1]", "10.0.0.0/33"},
		{"pools without listener", func(c *Config) { c.Listeners = nil }, "pool", "no listener"},
		{"two pools of a name", func(c *Config) { c.Pools = append(c.Pools, c.Pools[0]) }, "pool[1].name", "already"},
		{"unknown method", func(c *Config) { c.Pools[0].Method = "fastest" }, "pool[0].lb_method", "fastest"},
		{"unknown persistence", func(c *Config) { c.Pools[0].Persistence = "ssl" }, "pool[0].persistence", "ssl"},
		{"negative time-out", func(c *Config) { c.Pools[0].ConnectTimeout = -time.Second }, "pool[0].connect_timeout", "-1s"},
		{"endless time-out", func(c *Config) { c.Pools[0].ResponseTimeout = 48 * time.Hour }, "pool[0].response_timeout", "48h"},
		{"short persistence", func(c *Config) { c.Pools[0].PersistenceTimeout = time.Millisecond }, "pool[0].persistence_timeout", "1ms"},
		{"no members", func(c *Config) { c.Pools[0].Members = nil }, "pool[0].members", "no members"},
		{"a member twice", func(c *Config) { c.Pools[0].Members[1].Address = "10.0.0.1:80" }, "pool[0].members[1].address", "10.0.0.1:80"},
		{"a member name twice", func(c *Config) { c.Pools[0].Members[1].Name = "b1" }, "pool[0].members[1].name", "b1"},
		{"member without port", func(c *Config) { c.Pools[0].Members[0].Address = "10.0.0.1" }, "pool[0].members[0].address", "10.0.0.1"},
		{"member with port 0", func(c *Config) { c.Pools[0].Members[0].Address = "10.0.0.1:0" }, "pool[0].members[0].address", "port"},
		{"member with a URL", func(c *Config) { c.Pools[0].Members[0].Address = "http://a:80" }, "pool[0].members[0].address", "http"},
		{"negative weight", func(c *Config) { c.Pools[0].Members[0].Weight = -1 }, "pool[0].members[0].weight", "-1"},
		{"CA without tls", func(c *Config) { c.Pools[0].CA = ca.file }, "pool[0].tls", "tls is off"},
		{"junk CA", func(c *Config) { c.Pools[0].TLS, c.Pools[0].CA = true, junk }, "pool[0].ca", junk},
		{"no such CA", func(c *Config) { c.Pools[0].TLS, c.Pools[0].CA = true, "/no/ca.pem" }, "pool[0].ca", "/no/ca.pem"},
	})
}

func TestDefaultsAndChecks(t *testing.T) {
	cfg := Config{Pools: []Pool{
		{Name: "a", Monitor: "m", Members: []Member{{Address: "10.0.0.1:80"}, {Address: "10.0.0.2:80"}}},
		{Name: "b", Monitor: "m", Members: []Member{{Address: "10.0.0.1:80"}}},
		{Name: "c", Members: []Member{{Address: "10.0.0.3:80"}}},
	}, Listeners: []Listener{{Name: "l"}}}
	want := []healthcheck.Key{{Address: "10.0.0.1:80", Monitor: "m"}, {Address: "10.0.0.2:80", Monitor: "m"}}
	if got := cfg.Checks(); !reflect.DeepEqual(got, want) {
		t.Errorf("checks %v", got)
	}
	full := cfg.WithDefaults()
	p := full.Pools[0]
	if p.Method != DefaultMethod || p.Persistence != "source-address" || p.PersistenceTimeout != 300*time.Second ||
		p.ConnectTimeout != time.Second || p.ResponseTimeout != 130*time.Second || p.Members[0].Weight != 1 || p.Members[0].Name != "10.0.0.1:80" {
		t.Errorf("defaults %+v", p)
	}
	if !*full.Listeners[0].LegacyProbe || cfg.Listeners[0].LegacyProbe != nil || cfg.Pools[0].Members[0].Weight != 0 {
		t.Error("defaults changed the original or are missing")
	}
}
