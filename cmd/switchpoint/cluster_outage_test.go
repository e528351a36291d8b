package main

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"switchpoint/broker/client"
	"switchpoint/broker/outage"
	"switchpoint/broker/outage/mode"
)

// modes are those of the brokers, by site id from 1; "" where one does not say.
func (c *fiveBrokers) modes(ctx context.Context) []mode.Mode {
	out := make([]mode.Mode, clusterSize)
	for i := range out {
		var s outage.Status
		if err := ask(ctx, c.node(i+1), http.MethodGet, "outage", nil, &s); err == nil {
			out[i] = s.Mode
		}
	}
	return out
}

func all(list []mode.Mode, m mode.Mode) bool {
	return !slices.ContainsFunc(list, func(one mode.Mode) bool { return one != m })
}

// TestClusterSurvivesItsDatabase: five brokers lose PostgreSQL without a word while users sign in and
// refresh. Nobody has to sign in again, nobody is refused, and when it is back it has everything.
func TestClusterSurvivesItsDatabase(t *testing.T) {
	c := startCluster(t)
	for i := range clusterSize {
		if out, code := c.command("hostcache", "sync", "--node", c.node(i+1)); code != 0 {
			t.Fatalf("hostcache sync: %s", out)
		}
	}
	n := &traffic{}
	var users []*client.SignedIn
	for i := range standing {
		s := c.signIn(t.Context(), n, i)
		if s == nil {
			t.Fatal(n.lost)
		}
		defer s.Close()
		users = append(users, s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i, s := range users {
		wg.Go(func() { n.stand(ctx, i, s) })
	}
	for i := range coming {
		wg.Go(func() { c.come(ctx, n, standing+i) })
	}
	pause(ctx, 2*time.Second)

	c.db.Pause()
	lost := time.Now()
	c.until("all brokers serve from their host caches", func() bool { return all(c.modes(ctx), mode.HostCache) })
	t.Logf("all in hostcache %s after the database fell silent", time.Since(lost).Round(100*time.Millisecond))
	n.killed.Store(true)
	pause(ctx, 5*time.Second)
	inOutage := n.signInsAfter.Load()
	c.db.Resume()
	c.until("they wait for a stable database", func() bool { return all(c.modes(ctx), mode.HostCache) })
	for deadline := time.Now().Add(90 * time.Second); !all(c.modes(ctx), mode.Normal); pause(ctx, 200*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("90 s after the database came back: %v", c.modes(ctx))
		}
	}
	t.Logf("all normal %s after the database came back", time.Since(lost).Round(100*time.Millisecond))
	pause(ctx, time.Second)
	cancel()
	wg.Wait()
	for i, s := range users { // each of them once more, for certain
		n.refresh(t.Context(), i, s)
	}
	t.Logf("%d sign-ins, %d refreshes, %d sign-outs, %d retries; in the outage %d sign-ins and %d refreshes",
		n.signIns.Load(), n.refreshes.Load(), n.signOuts.Load(), n.retries.Load(), inOutage, n.refreshesAfter.Load())
	for _, l := range n.lost {
		t.Error(l)
	}
	if inOutage == 0 {
		t.Error("nobody signed in during the outage")
	}
}
