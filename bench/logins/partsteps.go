package logins

import (
	"context"
	"fmt"
	"os"
	"strings"

	"switchpoint/bench/ldapserver"
)

// stepsRate is what our own system is asked by profiles: not how much it can do, but that the steps
// fit, and what a client in HTTP steps costs beside a thin client.
const stepsRate = 100

// steps plays the profiles that fit our own system through the chain.
func (r *run) steps(ctx context.Context) error {
	c, err := r.stage.startChain(ctx, r.bar, chainSpec{brokers: 1, desktops: desktops})
	if err != nil {
		return err
	}
	defer c.close()
	people, err := r.stage.people()
	if err != nil {
		return err
	}
	for _, name := range []string{"ours", "form"} {
		profile, err := LoadProfile(name)
		if err != nil {
			return err
		}
		t := task{
			Role: roleSteps, Profile: profile, People: people, CA: r.stage.ca.CAFile(), Vars: map[string]string{"url": "https://" + c.lbAddr},
			Rate: stepsRate, For: r.o.Probe, Poisson: true,
		}
		if r.o.Quick {
			t.Rate = r.o.Rate
		}
		v, err := r.load(ctx, "profile "+name, t, c.meter())
		if err != nil {
			return err
		}
		r.keep(v)
		for why, n := range v.Errors {
			r.report.noteOnce("profile %s: %d failed: %s", name, n, why)
		}
		r.report.add(row(fmt.Sprintf("profile %s at %s/s on our own system: failed", name, number(t.Rate)), "logins", float64(v.Failed)).atMost(0).
			note("%d played; up to step %s p50 %s, p99 %s ms; all steps p50 %s, p99 %s ms", v.Offered, profile.Login,
				number(v.Login.P50), number(v.Login.P99), number(v.Journey.P50), number(v.Journey.P99)))
	}
	return nil
}

// people writes the users of the directory for profiles.
func (s *stage) people() (string, error) {
	var b strings.Builder
	for i := range s.users {
		fmt.Fprintf(&b, "%s,%s\n", ldapserver.UserName(i), ldapserver.UserPassword(i))
	}
	file := s.file("people.csv")
	return file, os.WriteFile(file, []byte(b.String()), 0o600)
}
