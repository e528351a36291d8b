package broker_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"switchpoint/broker"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
	"switchpoint/redirect"
)

// TestRulesPerDirectory: rules belong to one directory (RD1). The same user name in another one, which has
// other rules or none, has another home; a new directory logs its users in here (RD9).
func TestRulesPerDirectory(t *testing.T) {
	covers.Req(t, "RD1", "RD9")
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	b := newCluster(t).start(1, nil)
	ruled, other, fresh := corp(t, address), corp(t, address), corp(t, address)
	ruled.Redirect = ukRules()
	other.Name, fresh.Name = "other", "fresh"
	other.Redirect = &redirect.Config{Attribute: "uid", Match: "equals", Rules: "bob > us"}
	b.fill(t, ukSetup(ruled, other, fresh))
	for _, c := range []struct{ directory, user, home string }{
		{"corp", "alice", "us"}, {"other", "alice", ""}, {"fresh", "alice", ""},
		{"corp", "bob", ""}, {"other", "bob", "us"}, {"fresh", "bob", ""}, {"", "alice", "us"},
	} {
		req := login(c.user, c.user+"-demo")
		req.Directory = c.directory
		res := b.Login(t.Context(), req)
		if (res.Redirect != "") != (c.home != "") || res.Refusal != nil {
			t.Errorf("%s of directory %q: %+v, want home %q", c.user, c.directory, res, c.home)
		}
	}
}

// TestOwnMonitor: a destination that names no monitor is asked for its is_alive page, with its own roots
// and under the name in its URL (RD9); one that names this cluster needs none.
func TestOwnMonitor(t *testing.T) {
	covers.Req(t, "RD9")
	t.Parallel()
	type checks struct {
		monitors []healthcheck.Monitor
		keys     []healthcheck.Key
	}
	var got atomic.Pointer[checks]
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.SetChecks = func(m []healthcheck.Monitor, k []healthcheck.Key) { got.Store(&checks{m, k}) }
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	setup := broker.Setup{Destinations: []redirect.Destination{
		{Name: "us", Cluster: "us", URL: "https://cb.us.company.com", Address: "10.1.0.5:8443"},
		{Name: "old", Cluster: "old", URL: "http://cb.old.company.com", Plain: true},
		{Name: "own", Cluster: "us", URL: "https://cb.us.company.com", Monitor: "alive"},
		{Name: "here", Cluster: "uk", URL: "https://cb.uk.company.com"},
	}}
	b.fill(t, setup)
	c := got.Load()
	if len(c.monitors) != 2 || len(c.keys) != 3 {
		t.Fatalf("%+v", c)
	}
	us, old := c.monitors[0], c.monitors[1]
	if us.Kind != "https" || us.ServerName != "cb.us.company.com" || c.keys[0] != (healthcheck.Key{Address: "10.1.0.5:8443", Monitor: us.Name}) ||
		old.Kind != "http" || old.ServerName != "cb.old.company.com" || c.keys[1] != (healthcheck.Key{Address: "cb.old.company.com:80", Monitor: old.Name}) ||
		c.keys[2].Monitor != "alive" {
		t.Errorf("%+v", c)
	}
	if _, err := healthcheck.Compile(healthcheck.Config{Monitors: append(c.monitors, healthcheck.Monitor{Name: "alive", Kind: "http"}), Checks: c.keys}); err != nil {
		t.Error(err)
	}
	setup.Destinations[0].CA = ca
	if _, err := b.Apply(t.Context(), setup, false, "test"); err == nil || !strings.Contains(err.Error(), "no certificate in") || got.Load() != c {
		t.Errorf("a CA file without a certificate: %v", err)
	}
}
