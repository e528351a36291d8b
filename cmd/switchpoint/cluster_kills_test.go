package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/client"
	"switchpoint/directory/demodir"
	"switchpoint/internal/covers"
)

const (
	standing   = 20               // clients that sign in once and then only refresh
	coming     = 4                // clients that sign in and out all the time
	survival   = 14 * time.Second // how long all of that goes on
	firstKill  = 3 * time.Second
	secondKill = 6 * time.Second
	giveUp     = 20 * time.Second // for one act of a client, with all of its retries
)

// traffic counts what clients did and met.
type traffic struct {
	signIns, refreshes, signOuts, retries atomic.Int64
	signInsAfter, refreshesAfter          atomic.Int64 // after the second kill
	killed                                atomic.Bool  // both are
	mu                                    sync.Mutex
	lost                                  []string // who had to sign in again, or could not
}

func (n *traffic) lose(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost = append(n.lost, fmt.Sprintf(format, args...))
}

// attempt does an act of a client and, as a thin client does, once more a little later when a broker
// or a connection has failed; a "no" about the user or his session is final.
func (n *traffic) attempt(ctx context.Context, what string, act func(context.Context) error) bool {
	for deadline := time.Now().Add(giveUp); ; time.Sleep(100 * time.Millisecond) {
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		err := act(once)
		cancel()
		if err == nil {
			return true
		}
		var refused *client.RefusedError
		final := errors.As(err, &refused) && !slices.Contains([]string{broker.CodeStoreUnavailable, broker.CodeBusy, broker.CodeStopped, broker.CodeDirectoryUnavailable}, refused.Reason.Code)
		if final || time.Now().After(deadline) {
			n.lose("%s: %v", what, err)
			return false
		}
		n.retries.Add(1)
	}
}

// options are those of the i-th client, which has an address of its own.
func (c *fiveBrokers) options(i int) client.Options {
	u := demodir.Users()[i%len(demodir.Users())]
	return client.Options{URL: c.url, User: u.Name, Password: u.Password, Source: netip.AddrFrom4([4]byte{127, 0, 9, byte(i + 1)}), Timeout: 10 * time.Second}
}

func (c *fiveBrokers) signIn(ctx context.Context, n *traffic, i int) (s *client.SignedIn) {
	ok := n.attempt(ctx, fmt.Sprintf("client %d signs in", i), func(ctx context.Context) (err error) {
		s, err = client.SignIn(ctx, c.options(i))
		return err
	})
	if !ok {
		return nil
	}
	n.signIns.Add(1)
	if n.killed.Load() {
		n.signInsAfter.Add(1)
	}
	return s
}

// refresh asks for the offers again, on a new connection: the balancer decides anew.
func (n *traffic) refresh(ctx context.Context, i int, s *client.SignedIn) bool {
	s.Reconnect()
	home := s.Outcome.Broker.Name
	ok := n.attempt(ctx, fmt.Sprintf("client %d, signed in by %s, refreshes", i, home), func(ctx context.Context) error {
		offers, _, err := s.Offers(ctx)
		if err == nil && len(offers) == 0 {
			err = errors.New("no offers")
		}
		return err
	})
	if ok {
		n.refreshes.Add(1)
		if n.killed.Load() {
			n.refreshesAfter.Add(1)
		}
	}
	return ok
}

// stand refreshes until ctx ends.
func (n *traffic) stand(ctx context.Context, i int, s *client.SignedIn) {
	for ctx.Err() == nil && n.refresh(ctx, i, s) {
		pause(ctx, 200*time.Millisecond)
	}
}

// come signs in, refreshes a few times and signs out, until ctx ends.
func (c *fiveBrokers) come(ctx context.Context, n *traffic, i int) {
	for ctx.Err() == nil {
		s := c.signIn(ctx, n, i)
		if s == nil {
			return
		}
		for range 3 {
			if !n.refresh(ctx, i, s) {
				break
			}
			pause(ctx, 50*time.Millisecond)
		}
		// One whose answer was lost with a broker is not repeated: it may have happened.
		if err := s.SignOut(context.WithoutCancel(ctx)); err == nil {
			n.signOuts.Add(1)
		}
		s.Close()
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// TestClusterSurvivesTwoKills: five brokers over PostgreSQL, two of which are killed while users sign in
// and refresh. Nobody has to sign in again.
func TestClusterSurvivesTwoKills(t *testing.T) {
	covers.Req(t, "CL1", "CL2", "LG3", "DC3")
	c := startCluster(t)
	n := &traffic{}
	var users []*client.SignedIn
	perSite := make(map[int]int)
	for i := range standing {
		s := c.signIn(t.Context(), n, i)
		if s == nil {
			t.Fatal(n.lost)
		}
		defer s.Close()
		users = append(users, s)
		perSite[s.Outcome.Broker.SiteID]++
	}
	victims := twoBusiest(perSite)

	ctx, cancel := context.WithTimeout(t.Context(), survival)
	defer cancel()
	var wg sync.WaitGroup
	for i, s := range users {
		wg.Go(func() { n.stand(ctx, i, s) })
	}
	for i := range coming {
		wg.Go(func() { c.come(ctx, n, standing+i) })
	}
	pause(ctx, firstKill)
	c.brokers[victims[0]-1].kill()
	pause(ctx, secondKill-firstKill)
	c.brokers[victims[1]-1].kill()
	n.killed.Store(true)
	wg.Wait()

	for i, s := range users { // each of them once more, for certain
		n.refresh(t.Context(), i, s)
	}
	t.Logf("%d sign-ins, %d refreshes, %d sign-outs, %d retries; after the second kill %d sign-ins and %d refreshes; brokers %d and %d killed, which had signed in %d and %d of %d standing users",
		n.signIns.Load(), n.refreshes.Load(), n.signOuts.Load(), n.retries.Load(), n.signInsAfter.Load(), n.refreshesAfter.Load(),
		victims[0], victims[1], perSite[victims[0]], perSite[victims[1]], standing)
	for _, l := range n.lost {
		t.Error(l)
	}
	if n.signInsAfter.Load() == 0 || n.refreshesAfter.Load() < standing {
		t.Error("hardly anything went on after the second kill")
	}
	c.worksOn(victims)
}

// twoBusiest are the site ids with the most sessions.
func twoBusiest(perSite map[int]int) []int {
	var sites []int
	for i := range clusterSize {
		sites = append(sites, i+1)
	}
	slices.SortFunc(sites, func(a, b int) int { return perSite[b] - perSite[a] })
	return sites[:2]
}

// worksOn: the brokers that are left do the jobs of the cluster, and the list says who has gone.
func (c *fiveBrokers) worksOn(gone []int) {
	c.t.Helper()
	left := 1
	for slices.Contains(gone, left) {
		left++
	}
	before := time.Now()
	if out, code := c.command("jobs", "run", "pool statistics", "--node", c.node(left)); code != 0 {
		c.t.Fatalf("jobs run: %s", out)
	}
	c.until("a broker that lives has run the job", func() bool {
		var jobs []jobLine
		if err := ask(c.t.Context(), c.node(left), "GET", "jobs?kind=pool+statistics", nil, &jobs); err != nil {
			c.t.Fatal(err)
		}
		return len(jobs) > 0 && !slices.Contains(gone, jobs[0].SiteID) && jobs[0].Ended.After(before.Add(-time.Second)) && jobs[0].State == broker.JobPending
	})
	c.until("the list shows who lives", func() bool {
		var lines []clusterLine
		if err := ask(c.t.Context(), c.node(left), "GET", "cluster", nil, &lines); err != nil {
			c.t.Fatal(err)
		}
		return len(lines) == clusterSize && !slices.ContainsFunc(lines, func(l clusterLine) bool { return l.Live == slices.Contains(gone, l.SiteID) })
	})
}
