package main

import (
	"strings"
	"testing"
	"time"

	"switchpoint/gtm"
	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/lb"
)

// TestModesAreShown: in which mode brokers say that they work, and for how long, in lb status, gtm status
// and gtm why; and why clients of a datacenter go elsewhere.
func TestModesAreShown(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	since := now.Add(-90 * time.Second)
	shows := func(out string, want ...string) {
		t.Helper()
		text := strings.Join(strings.Fields(out), " ")
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("lacks %q:\n%s", w, out)
			}
		}
	}
	var out strings.Builder
	if err := printLB(&out, lb.Status{Pools: []lb.PoolStatus{{Name: "brokers", Members: []lb.MemberStatus{
		{Name: "us1", Address: "10.0.0.1:443", State: "up", Mode: "hostcache", ModeSince: since},
		{Name: "us2", Address: "10.0.0.2:443", State: "up", Mode: "normal"},
		{Name: "us3", Address: "10.0.0.3:443", State: "down"},
	}}}}, now); err != nil {
		t.Fatal(err)
	}
	shows(out.String(), "MEMBER ADDRESS STATE MODE SHARE", "us1 10.0.0.1:443 up hostcache for 1m30s - ", "us2 10.0.0.2:443 up normal - ", "us3 10.0.0.3:443 down - - ")

	name := steer.NameStatus{Name: "cb.company.com", Pools: []steer.PoolStatus{{
		Datacenter: "us", In: true, Rule: "in", Serves: "the members that are up serve", Shed: 0.2, ShedWhy: "works without its database",
		Members: []steer.MemberStatus{
			{ID: "cb.company.com/us/10.0.0.1:443", State: healthcheck.Up, Reason: "200", Spare: 7, Mode: "hostcache", ModeSince: since},
			{ID: "cb.company.com/us/10.0.0.2:443", State: healthcheck.Up, Spare: -1, Mode: "leased"},
		},
	}}}
	out.Reset()
	if err := printGTM(&out, gtm.Status{Mode: "primary", Operator: &steer.Operator{}, Names: []steer.NameStatus{name}}, now); err != nil {
		t.Fatal(err)
	}
	shows(out.String(), "200, 7 spare, mode hostcache for 1m30s", "10.0.0.2:443 up - mode leased", "serve; it works without its database, 20% of its clients go elsewhere")
	lines, _ := whyName(name, gtm.Name{PreferNormal: true}.WithDefaults(), &steer.Operator{}, "", now)
	shows(strings.Join(lines, "\n"), "200, 7 spare, mode hostcache for 1m30s", "prefer: prefer_normal: while all its members work without their database")
}
