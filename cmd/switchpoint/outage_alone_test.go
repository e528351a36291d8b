package main

import (
	"context"
	"testing"
	"time"

	"switchpoint/broker/outage/mode"
)

// oneAlone cuts one broker off from the database. It says so to the balancer within 2 s and gets nobody any
// more, those who signed in there go on at others, and it serves again when it has the database again (DC7).
func (f *farm) oneAlone(t *testing.T) {
	users, n := f.standing(t), &traffic{}
	l := f.startLogins(t, "before")
	f.until("users sign in at all brokers", func() bool { return l.count(time.Time{}, alone) > 0 })
	f.net.Partition(f.host("alone"), f.host("db"))
	cut := time.Now()
	l.enter("cut off, and does not say so")
	stood := f.untilProbe(t, false).Sub(cut)
	f.until("the balancer knows", func() bool { return !f.takes(t) })
	known := time.Now()
	l.enter("stepped aside")
	l.goOn(max(2*farmPace(), 10))
	if s := f.outages()[alone-1]; s.Mode != mode.Draining || s.Peer == "" {
		t.Errorf("mode %s, peer %q: %s", s.Mode, s.Peer, s.Reason)
	}
	for site, s := range f.outages()[:alone-1] {
		if s.Mode != mode.Normal {
			t.Errorf("broker %d has the database and is in mode %s: %s", site+1, s.Mode, s.Reason)
		}
	}
	for i, s := range users {
		n.refresh(t.Context(), i, s)
	}
	for _, lost := range n.lost {
		t.Error(lost)
	}
	if got := l.count(known, alone); got > 0 {
		t.Errorf("%d users signed in at the broker that had stepped aside", got)
	}
	f.net.Heal()
	healed := time.Now()
	l.enter("the way is whole again")
	again := f.untilProbe(t, true).Sub(healed)
	f.until("users sign in there again", func() bool { return l.count(healed, alone) > 0 })
	t.Logf("503 %s after the cut, the balancer knows after %s, %d users went on elsewhere with %d retries; 200 again %s after the cut was healed",
		stood.Round(10*time.Millisecond), known.Sub(cut).Round(10*time.Millisecond), len(users), n.retries.Load(), again.Round(10*time.Millisecond))
	l.report(t)
	if stood > 2*time.Second+machineSlack {
		t.Errorf("it stepped aside after %s", stood)
	}
}

// untilProbe waits until the probe of the broker that stands alone is answered with 200, or with 503.
func (f *farm) untilProbe(t *testing.T, want bool) time.Time {
	t.Helper()
	f.until("the probe's answer changes", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		ok, err := probe(ctx, f.api[alone-1])
		if err != nil {
			t.Fatal(err)
		}
		return ok == want
	})
	return time.Now()
}

// takes says whether the balancer gives logins to the broker that stands alone.
func (f *farm) takes(t *testing.T) bool {
	t.Helper()
	list, err := f.lbMembers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := list[alone-1]
	return m.Takes && m.State == "up"
}
