package peer

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"switchpoint/internal/problem"
)

func fakeKey(b byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), 32)))
}

func TestValidate(t *testing.T) {
	a := Trust{Name: "a", Cluster: "us", Key: fakeKey('a'), Address: "10.0.0.1:7443"}
	b := Trust{Name: "b", Cluster: "us", Key: fakeKey('b')}
	if err := (Config{Listen: "127.0.0.1:0", Trust: []Trust{a, b}}).Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change     func(*Config)
		path, what string
	}{
		{func(c *Config) { c.Listen = "7443" }, "listen", "is not ip:port"},
		{func(c *Config) { c.Listen = "host:7443" }, "listen", "is not ip:port"},
		{func(c *Config) { c.Trust[1].Name = "" }, "trust[1].name", "is no name"},
		{func(c *Config) { c.Trust[1].Name = "a" }, "trust[1].name", "also the name of trust[0]"},
		{func(c *Config) { c.Trust[1].Key = "" }, "trust[1].key", "no key"},
		{func(c *Config) { c.Trust[1].Key = "AAAA" }, "trust[1].key", "32 bytes"},
		{func(c *Config) { c.Trust[1].Key = a.Key }, "trust[1].key", "same key as trust[0]"},
		{func(c *Config) { c.Trust[0].Address = "10.0.0.1" }, "trust[0].address", "is not host:port"},
		{func(c *Config) { c.Trust[0].Address = "10.0.0.1:0" }, "trust[0].address", "is not host:port"},
	} {
		cfg := Config{Trust: []Trust{a, b}}
		c.change(&cfg)
		list, _ := cfg.Validate().(problem.List)
		if len(list) != 1 || list[0].Path != c.path || !strings.Contains(list[0].What, c.what) || list[0].Cure == "" {
			t.Errorf("got %v, want one problem at %s that says %q", list, c.path, c.what)
		}
		if _, err := Compile(cfg, ""); err == nil {
			t.Errorf("%s: Compile accepts it", c.path)
		}
	}
}

func TestPeers(t *testing.T) {
	cfg := Config{Trust: []Trust{
		{Name: "z", Cluster: "us", Key: fakeKey('z'), Address: "10.0.0.1:1"},
		{Name: "me", Cluster: "us", Key: fakeKey('m'), Address: "10.0.0.2:1"},
		{Name: "silent", Cluster: "us", Key: fakeKey('s')},
		{Name: "uk", Cluster: "uk", Key: fakeKey('u'), Address: "10.0.0.3:1"},
		{Name: "a", Cluster: "us", Key: fakeKey('a'), Address: "10.0.0.4:1"},
	}}
	table, err := Compile(cfg, fakeKey('m'))
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Peers("us"); !slices.Equal(got, []string{"z", "a"}) {
		t.Errorf("Peers gives %q", got)
	}
	if got := table.Peers("de"); len(got) != 0 {
		t.Errorf("Peers of an unknown cluster gives %q", got)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(fakeKey('a'))
	f.Add("AAAA")
	f.Add(strings.Repeat("A", 43) + "\n=")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := parseKey(s)
		if err != nil {
			return
		}
		if again := base64.StdEncoding.EncodeToString(k[:]); again != strings.NewReplacer("\r", "", "\n", "").Replace(s) {
			t.Errorf("%q and %q are one key", s, again)
		}
	})
}
