package realserver

import (
	"context"
	"net/netip"
	"strings"
	"testing"
)

// TestResolverOnAHost: an Unbound and a BIND, each on a host, find a name that a BIND on a
// third one has.
func TestResolverOnAHost(t *testing.T) {
	n := StartNetwork(t, "parent", "resolver")
	parent, resolver := n.Host("parent").Addr(), n.Host("resolver").Addr()
	BINDOn(t, HostDNSOptions{
		Host: n.Host("parent"), Addr: parent,
		Config: "options { recursion no; };\nzone \"company.com\" { type primary; file \"company.com.zone\"; };\n",
		Files:  map[string]string{"company.com.zone": smallZone},
	})
	ask := func(s *HostDNS, addr netip.Addr) {
		t.Helper()
		out, err := n.Host("parent").Command(context.Background(), "dig", "-r", "+short", "@"+addr.String(), "www.company.com").Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != "192.0.2.80" {
			t.Errorf("www.company.com is %q, %v\n%s", got, err, s.Log())
		}
	}
	u := Unbound(t, HostDNSOptions{
		Host: n.Host("resolver"), Addr: resolver,
		Config: "server:\n  interface: " + resolver.String() + "\n  access-control: 0.0.0.0/0 allow\n" +
			"stub-zone:\n  name: \"company.com\"\n  stub-addr: " + parent.String() + "\n",
	})
	ask(u, resolver)
	u.Stop()
	b := BINDOn(t, HostDNSOptions{
		Host: n.Host("resolver"), Addr: resolver,
		Config: "options { allow-query { any; }; allow-recursion { any; }; dnssec-validation no; };\n" +
			"zone \"company.com\" { type static-stub; server-addresses { " + parent.String() + "; }; };\n",
	})
	ask(b, resolver)
	b.Kill()
	b.Start()
	ask(b, resolver)
}
