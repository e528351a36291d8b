package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker/client"
	"switchpoint/broker/outage"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/covers"
)

// machineSlack is what a machine that does other things, too, may be late with a limit.
const machineSlack = 2 * time.Second

// TestOutageOfFarm takes the database away from five brokers behind gtm and a balancer: from one of them,
// from all of them at once, and again and again. Users sign in all the time, none of them fails, and nobody
// who looks ever finds the farm empty.
func TestOutageOfFarm(t *testing.T) {
	covers.Req(t, "DC4", "DC5", "DC7", "HC7")
	f := startFarm(t)
	f.syncCaches()
	f.startWatch(t)
	f.step("one broker alone", f.oneAlone)
	f.step("silent loss", f.silentLoss)
	f.step("again and again", f.againAndAgain)
}

// outages is how the brokers stand, by site id from 1; the zero Status where one does not say.
func (f *farm) outages() []outage.Status {
	out := make([]outage.Status, clusterSize)
	for i := range out {
		ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
		_ = ask(ctx, f.node(i+1), http.MethodGet, "outage", nil, &out[i])
		cancel()
	}
	return out
}

// untilAll waits until all brokers are in a mode, and gives when the last of them came there.
func (f *farm) untilAll(m mode.Mode) (since time.Time) {
	f.t.Helper()
	var list []outage.Status
	defer func() {
		if f.t.Failed() {
			for i, s := range list {
				f.t.Logf("broker %d: %s for %s: %s", i+1, s.Mode, time.Since(s.Since).Round(time.Millisecond), s.Reason)
			}
		}
	}()
	f.until("all brokers are in mode "+string(m), func() bool {
		list, since = f.outages(), time.Time{}
		for _, s := range list {
			if s.Mode != m {
				return false
			}
			if s.Since.After(since) {
				since = s.Since
			}
		}
		return true
	})
	return since
}

// silentLoss lets the database fall silent for all of them.
func (f *farm) silentLoss(t *testing.T) {
	users, n := f.standing(t), &traffic{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i, s := range users {
		wg.Go(func() { n.stand(ctx, i, s) })
	}
	l := f.startLogins(t, "before")
	l.goOn(3 * farmPace())
	f.net.Isolate(f.host("db"))
	lost := time.Now()
	l.enter("lost, no broker says so")
	switched := f.untilAll(mode.HostCache).Sub(lost)
	l.enter("outage")
	pause(ctx, 5*time.Second)
	l.goOn(farmPace())
	f.net.Heal()
	l.enter("database back, in outage")
	back := time.Now()
	returned := f.untilAll(mode.Normal).Sub(back)
	l.enter("after")
	l.goOn(3 * farmPace())
	cancel()
	wg.Wait()
	for i, s := range users { // each of them once more, for certain
		n.refresh(t.Context(), i, s)
	}
	t.Logf("%d logins/s; all in hostcache %s after the database fell silent, all normal %s after it was back; %d refreshes of %d users, %d of them again",
		farmPace(), switched.Round(10*time.Millisecond), returned.Round(100*time.Millisecond), n.refreshes.Load(), len(users), n.retries.Load())
	l.report(t)
	for _, lost := range n.lost {
		t.Error(lost)
	}
	if switched > 3*time.Second+machineSlack {
		t.Errorf("the outage began after %s", switched)
	}
}

// standing are users who have signed in, at least one of them at the broker that stands alone.
func (f *farm) standing(t *testing.T) (users []*client.SignedIn) {
	t.Helper()
	found := false
	f.until("users of all brokers", func() bool {
		s, err := client.SignIn(t.Context(), f.options(len(users)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		users = append(users, s)
		found = found || s.Outcome.Broker.SiteID == alone
		return found && len(users) >= clusterSize
	})
	return users
}

// againAndAgain loses the database twice more, which makes three times: then the brokers stay in the outage
// however well it answers (HC7).
func (f *farm) againAndAgain(t *testing.T) {
	l := f.startLogins(t, "it comes and goes")
	f.net.Isolate(f.host("db"))
	f.untilAll(mode.HostCache)
	f.net.Heal()
	f.answers()
	for _, s := range f.outages() {
		if !s.Hold.IsZero() {
			t.Errorf("it is held down after two times: %s", s.Reason)
		}
	}
	f.must("outage", "force", "--off", "--scope", "cluster", "--reason", "no time", "--node", f.node(1))
	f.untilAll(mode.Normal)
	f.must("outage", "release", "--scope", "cluster", "--node", f.node(1))

	f.net.Isolate(f.host("db"))
	f.untilAll(mode.HostCache)
	f.net.Heal()
	f.answers()
	l.enter("held down")
	f.until("all of them say why they do not go back", func() bool {
		for _, s := range f.outages() {
			if s.Mode != mode.HostCache || time.Until(s.Hold) < 8*time.Minute || !strings.Contains(s.Reason, "lost 3 times") {
				return false
			}
		}
		return true
	})
	if text := f.must("outage", "status", "--node", f.node(2)); !strings.Contains(text, "hold-down") {
		t.Errorf("an operator is told\n%s", text)
	}
	l.goOn(farmPace())
	// The operator knows better.
	f.must("outage", "force", "--off", "--scope", "cluster", "--node", f.node(3))
	f.untilAll(mode.Normal)
	l.enter("by the operator's word")
	l.goOn(farmPace())
	l.report(t)
}

// answers waits until the database answers all of them.
func (f *farm) answers() {
	f.t.Helper()
	f.until("the database answers all brokers", func() bool {
		for _, s := range f.outages() {
			if s.Answered.IsZero() || !s.Failing.IsZero() {
				return false
			}
		}
		return true
	})
}
