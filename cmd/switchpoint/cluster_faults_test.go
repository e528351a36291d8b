package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/broker/client"
	"switchpoint/internal/covers"
)

const (
	faultStanding = 10 // clients that sign in once
	faultComing   = 2  // and those that sign in and out all the time
	// clockOff is by how much clocks are wrong.
	clockOff = 10 * time.Minute
)

// stopFor is how long a broker is stopped: longer than a lease (8 s), and for a minute where there is time.
func stopFor() time.Duration {
	if os.Getenv("SWITCHPOINT_FAULTS") == "long" {
		return time.Minute
	}
	return 10 * time.Second
}

// TestClusterOutages breaks brokers of one cluster in ways that a kill does not, while users sign in. In each:
// nobody fails to sign in or has to do it again, the list of the cluster says what is, no job is lost, and all
// goes on without a restart of what was not broken.
func TestClusterOutages(t *testing.T) {
	covers.Req(t, "DC2", "CL2", "LV4", "CL7", "JQ2")
	t.Setenv(asVersion, "v1.4.2")
	c := startCluster(t)
	c.step("another version", c.otherVersion)
	c.step("stopped and resumed", c.stoppedAndResumed)
	c.step("clocks ten minutes apart", c.clocksApart)
	c.step("two with one site id", c.twoWithOneSiteID)
}

// under plays a fault while users sign in, refresh and sign out, and reports what they saw.
func (c *fiveBrokers) under(fault func()) {
	t := c.t
	t.Helper()
	n := &traffic{}
	var users []*client.SignedIn
	for i := range faultStanding {
		s := c.signIn(t.Context(), n, i)
		if s == nil {
			t.Fatal(n.lost)
		}
		defer s.Close()
		users = append(users, s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait() // also when the fault's test ends it
	defer cancel()
	for i, s := range users {
		wg.Go(func() { n.stand(ctx, i, s) })
	}
	for i := range faultComing {
		wg.Go(func() { c.come(ctx, n, faultStanding+i) })
	}
	fault()
	before := n.signIns.Load()
	c.until("users still sign in", func() bool { return n.signIns.Load() >= before+faultComing })
	cancel()
	wg.Wait()
	for i, s := range users { // each of them once more, for certain
		n.refresh(t.Context(), i, s)
	}
	t.Logf("users saw %d sign-ins, %d refreshes, %d sign-outs, %d retries, %d failures; an admin sees\n%s",
		n.signIns.Load(), n.refreshes.Load(), n.signOuts.Load(), n.retries.Load(), len(n.lost), c.anyList())
	for _, l := range n.lost {
		t.Error(l)
	}
}

// lines is the list of the cluster as the broker with that site id gives it.
func (c *fiveBrokers) lines(site int) map[int]clusterLine {
	c.t.Helper()
	var list []clusterLine
	if err := ask(c.t.Context(), c.node(site), "GET", "cluster", nil, &list); err != nil {
		c.t.Fatal(err)
	}
	out := make(map[int]clusterLine)
	for _, l := range list {
		out[l.SiteID] = l
	}
	return out
}

func (c *fiveBrokers) anyList() string {
	return c.must("cluster", "list", "--node", c.node(1), "--columns", "name,status,live,version,site_id,clock,differs")
}

// jobsOf are the jobs that a filter in the words of the admin API selects.
func (c *fiveBrokers) jobsOf(query string) []jobLine {
	c.t.Helper()
	var list []jobLine
	if err := ask(c.t.Context(), c.node(1), "GET", "jobs?"+query, nil, &list); err != nil {
		c.t.Fatal(err)
	}
	return list
}

// logOf is what a broker has logged so far.
func (c *fiveBrokers) logOf(p *process) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// signal sends a signal to the process of a broker.
func (c *fiveBrokers) signal(p *process, s syscall.Signal) {
	c.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// ends waits for a process to end by itself, and gives its log.
func (c *fiveBrokers) ends(p *process) string {
	c.t.Helper()
	c.until(p.name+" ends by itself", func() bool { return !p.running() })
	if p.err == nil {
		c.t.Errorf("%s ended as if all was well", p.name)
	}
	return c.logOf(p)
}

// otherVersion upgrades one broker: the next release goes with the others, the one after it is told to wait.
func (c *fiveBrokers) otherVersion(t *testing.T) {
	c.under(func() {
		t.Setenv(asVersion, "v1.6.0")
		c.brokers[4].stop()
		c.brokers[4] = c.launch(nthBroker(5))
		if text := c.ends(c.brokers[4]); !strings.Contains(text, "upgrade one release at a time") {
			t.Errorf("v1.6.0 beside v1.4.2:\n%s", text)
		}
		if l := c.lines(1)[5]; l.Live || l.Status != broker.StatusStopped || l.Version != "v1.4.2" {
			t.Errorf("the list shows the refused one as %+v", l)
		}
		t.Setenv(asVersion, "v1.5.0")
		c.restart(5, "", "")
		c.until("the list shows both versions", func() bool {
			l := c.lines(1)
			return l[5].Live && l[5].Version == "v1.5.0" && slices.Contains(l[5].Differs, "version") && l[1].Version == "v1.4.2"
		})
	})
}

// inventory is a source of desktops that answers when it is let.
type inventory struct {
	url   string
	asked atomic.Int32
	let   chan struct{}
}

func serveInventory(t *testing.T) *inventory {
	t.Helper()
	v := &inventory{let: make(chan struct{})}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.asked.Add(1)
		select {
		case <-v.let:
			_, _ = fmt.Fprint(w, `[{"name": "lab-1"}]`)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	v.url = s.URL
	return v
}

// stoppedAndResumed holds a broker by SIGSTOP while it runs a job. Another broker takes the job over; when the
// first one goes on it knows that its claim is gone, does not end the job a second time, and needs no restart.
func (c *fiveBrokers) stoppedAndResumed(t *testing.T) {
	source := serveInventory(t)
	setup := filepath.Join(c.dir, "uk.broker.toml")
	text, err := os.ReadFile(setup)
	if err != nil {
		t.Fatal(err)
	}
	c.write("center.toml", string(text)+fmt.Sprintf("[[center]]\nname = \"lab\"\nkind = \"http\"\nurl = %q\nevery = \"1h\"\ntimeout = \"5m\"\n", source.url))
	c.must("apply", "-f", filepath.Join(c.dir, "center.toml"), "--node", c.node(1))
	running := func() jobLine {
		list := c.jobsOf("kind=center+scan&state=running")
		if len(list) != 1 {
			return jobLine{}
		}
		return list[0]
	}
	c.until("a broker scans", func() bool { return source.asked.Load() > 0 && running().SiteID > 0 })
	first := running()
	if first.SiteID == 1 { // that one is asked for the list
		c.handOver(t, running)
		first = running()
	}
	victim := c.brokers[first.SiteID-1]
	before := c.lines(1)[first.SiteID]
	c.under(func() {
		c.signal(victim, syscall.SIGSTOP)
		t.Cleanup(func() { _ = victim.cmd.Process.Signal(syscall.SIGCONT) })
		stopped := time.Now()
		c.until("the list says that it does not live", func() bool { return !c.lines(1)[first.SiteID].Live })
		noticed := time.Since(stopped)
		if l := c.lines(1)[first.SiteID]; l.Status != broker.StatusRunning || l.Missed != 0 {
			t.Errorf("seconds after it fell silent the job queue's view is %s, %d missed (%s): that takes minutes", l.Status, l.Missed, l.Reason)
		}
		c.until("another broker runs the job", func() bool {
			j := running()
			return j.SiteID > 0 && j.SiteID != first.SiteID && j.ID == first.ID
		})
		taken := time.Since(stopped)
		for time.Since(stopped) < stopFor() {
			c.lines(1)
			pause(t.Context(), 200*time.Millisecond)
		}
		second := running()
		c.signal(victim, syscall.SIGCONT)
		c.until("it knows that the run is no longer its own", func() bool {
			return regexp.MustCompile(`(?m)(a run was taken from this broker|no longer this broker's).*` + first.ID).MatchString(c.logOf(victim))
		})
		close(source.let)
		c.until("the job has ended", func() bool {
			list := c.jobsOf("kind=center+scan&state=pending")
			return len(list) == 1 && strings.Contains(list[0].Result, "1") && list[0].SiteID == second.SiteID && list[0].Error == ""
		})
		lost := c.jobsOf("kind=center+scan&state=aborted")
		if !slices.ContainsFunc(lost, func(j jobLine) bool { return j.SiteID == first.SiteID && strings.Contains(j.Error, "broker was lost") }) {
			t.Errorf("the lost run left %+v", lost)
		}
		c.until("it lives again, as it was", func() bool {
			l := c.lines(1)[first.SiteID]
			return l.Live && l.Booted.Equal(before.Booted) && victim.running()
		})
		t.Logf("stopped for %s: not live after %s, its job with another broker after %s", time.Since(stopped).Round(time.Second), noticed.Round(100*time.Millisecond), taken.Round(100*time.Millisecond))
		c.signsInAt(first.SiteID)
	})
}

// handOver stops broker 1 for longer than its lease, so that another one has its job. It is asked about that
// once it goes on.
func (c *fiveBrokers) handOver(t *testing.T, running func() jobLine) {
	c.signal(c.brokers[0], syscall.SIGSTOP)
	pause(t.Context(), stopFor())
	c.signal(c.brokers[0], syscall.SIGCONT)
	c.until("another broker has the job", func() bool { j := running(); return j.SiteID > 1 })
	c.until("broker 1 lives again", func() bool { return c.lines(1)[1].Live })
}

// signsInAt signs somebody in at a broker itself, past the balancer, and goes on with the session at others.
func (c *fiveBrokers) signsInAt(site int) {
	c.t.Helper()
	call := func(at int, method, path, token string, in, out any) {
		c.t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			c.t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+c.api[at-1]+path, bytes.NewReader(body))
		if err != nil {
			c.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			c.t.Fatalf("%s %s at broker %d: %v", method, path, at, err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(out); err != nil || res.StatusCode != http.StatusOK {
			c.t.Fatalf("%s %s at broker %d: status %d, %v", method, path, at, res.StatusCode, err)
		}
	}
	u := c.options(site)
	var signedIn api.LoginResponse
	call(site, http.MethodPost, "/api/v1/login", "", api.LoginRequest{User: u.User, Password: u.Password}, &signedIn)
	if signedIn.Token == "" || signedIn.Broker.SiteID != site {
		c.t.Fatalf("broker %d answers a sign-in with %+v", site, signedIn)
	}
	for _, at := range []int{site, 1, 4} {
		var offers api.OffersResponse
		if call(at, http.MethodGet, "/api/v1/offers", signedIn.Token, nil, &offers); len(offers.Offers) == 0 || offers.Broker.SiteID != at {
			c.t.Errorf("broker %d goes on with the session of broker %d: %+v", at, site, offers)
		}
	}
}

// clocksApart runs one broker whose clock is ten minutes late and one whose clock is ten minutes early.
func (c *fiveBrokers) clocksApart(t *testing.T) {
	lostRuns := func() (n int) {
		for _, j := range c.jobsOf("state=aborted&limit=1000") {
			if strings.Contains(j.Error, "broker was lost") {
				n++
			}
		}
		return n
	}
	lost := lostRuns()
	c.under(func() {
		for site, by := range map[int]time.Duration{2: -clockOff, 3: clockOff} {
			t.Setenv(asSkewed, by.String())
			c.restart(site, "", "")
		}
		if err := os.Unsetenv(asSkewed); err != nil {
			t.Fatal(err)
		}
		c.until("the list says which clocks are wrong", func() bool {
			l := c.lines(1)
			return l[2].Live && l[3].Live && strings.HasPrefix(l[2].ClockOff, "-60") && regexp.MustCompile(`^\+(59\d|60\d)s$`).MatchString(l[3].ClockOff) && l[1].ClockOff == ""
		})
		for _, site := range []int{2, 3} {
			asked := c.lines(1)[site].LastHeartbeat
			c.until("its heartbeat job is in the queue", func() bool {
				_, code := c.command("jobs", "run", broker.KindHeartbeat, "--target", fmt.Sprint(site), "--node", c.node(1))
				return code == 0
			})
			c.until("its heartbeat job runs at once, and again in five minutes", func() bool {
				l := c.lines(1)[site]
				next := l.NextHeartbeat.Sub(l.LastHeartbeat)
				return l.LastHeartbeat.After(asked) && next > 4*time.Minute && next < 6*time.Minute && l.Status == broker.StatusRunning
			})
			c.signsInAt(site)
		}
	})
	if n := lostRuns() - lost; n > 0 {
		t.Errorf("%d runs were lost by brokers with other clocks", n)
	}
	for _, site := range []int{2, 3} { // it is put right, by a restart as by its operator's hand
		c.restart(site, "", "")
	}
	c.until("all clocks are right", func() bool {
		l := c.lines(1)
		return l[2].Live && l[3].Live && l[2].ClockOff == "" && l[3].ClockOff == ""
	})
}

// twoWithOneSiteID starts a second broker with a site id that is in use: while its holder lives it is refused;
// when the holder has been silent it takes the place, and the holder has to go when it comes to itself.
func (c *fiveBrokers) twoWithOneSiteID(t *testing.T) {
	text, err := os.ReadFile(c.brokers[1].config)
	if err != nil {
		t.Fatal(err)
	}
	own := addresses(t, 2)
	twin := regexp.MustCompile(`listen = \["[^"]*"\]`).ReplaceAllString(string(text), fmt.Sprintf("listen = [%q]", own[0]))
	twin = regexp.MustCompile(`(?s)\[peer\].*?\[broker\]`).ReplaceAllString(twin, "[broker]")
	c.write("uk-twin.toml", strings.ReplaceAll(twin, "uk-broker-2", "uk-twin"))
	held := c.brokers[1]
	c.under(func() {
		refused := c.launch("uk-twin")
		if log := c.ends(refused); !strings.Contains(log, `site id 2 is in use by broker \"uk-broker-2\"`) && !strings.Contains(log, `site id 2 is in use by broker "uk-broker-2"`) {
			t.Errorf("it was told\n%s", log)
		}
		if l := c.lines(1)[2]; !l.Live || l.Name != "uk-broker-2" {
			t.Errorf("the holder suffers: %+v", l)
		}
		c.signal(held, syscall.SIGSTOP)
		t.Cleanup(func() { _ = held.cmd.Process.Signal(syscall.SIGCONT) })
		c.until("the holder is silent", func() bool { return !c.lines(1)[2].Live })
		second := c.launch("uk-twin")
		t.Cleanup(second.stop)
		c.until("the other one has the place", func() bool {
			l := c.lines(1)[2]
			return l.Live && l.Name == "uk-twin" && l.Status == broker.StatusRunning
		})
		c.signal(held, syscall.SIGCONT)
		if log := c.ends(held); !strings.Contains(log, "site id taken over") {
			t.Errorf("the one that lost its place says\n%s", log)
		}
		c.until("the other one works", func() bool { l := c.lines(1)[2]; return l.Live && l.Name == "uk-twin" && !l.LastHeartbeat.IsZero() })
	})
}
