package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// command runs this program in the process of the test.
func (c *fiveBrokers) command(args ...string) (string, int) {
	var out bytes.Buffer
	code := execute(args, strings.NewReader(""), &out, &out)
	return out.String(), code
}

// must is a command that has to succeed.
func (c *fiveBrokers) must(args ...string) string {
	c.t.Helper()
	out, code := c.command(args...)
	if code != 0 {
		c.t.Fatalf("%s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// TestClusterCommands operates five brokers as an admin does.
func TestClusterCommands(t *testing.T) {
	covers.Req(t, "PG1", "PG2", "PG4", "CL6", "JQ1", "JQ2", "OP1", "OP2")
	c := startCluster(t)
	c.step("list", c.lists)
	c.step("goals", c.showsGoals)
	c.step("jobs", c.operatesJobs)
	c.step("differences", c.showsDifferences)
	c.step("stop and remove", c.removes)
	c.step("leave", c.leaves)
}

// step is a subtest, which is what fails meanwhile.
func (c *fiveBrokers) step(name string, test func(*testing.T)) {
	all := c.t
	defer func() { c.t = all }()
	all.Run(name, func(t *testing.T) {
		c.t = t
		test(t)
	})
}

// lists: every column, the chosen ones in the chosen order, and what makes no sense.
func (c *fiveBrokers) lists(t *testing.T) {
	c.until("all heartbeats have run", func() bool {
		out := c.must("cluster", "list", "--node", c.node(1), "--columns", "name,last_heartbeat")
		if !regexp.MustCompile(`(?m)-\s*$`).MatchString(out) {
			return true
		}
		c.command("jobs", "run", broker.KindHeartbeat, "--node", c.node(1)) // one that failed on a busy machine waits for five minutes
		return false
	})
	out := c.must("cluster", "--node", c.node(2), "--columns", columnKeys(clusterColumns()))
	for _, title := range []string{"ACTIONS", "NAME", "IP ADDRESS", "STATUS", "VERSION", "SITE ID", "UUID", "MAC", "BOOTED", "LAST HEARTBEAT", "NEXT HEARTBEAT"} {
		if !strings.Contains(strings.SplitN(out, "\n", 2)[0], title) {
			t.Errorf("no column %s in\n%s", title, out)
		}
	}
	uuids := map[string]bool{}
	for _, id := range regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`).FindAllString(out, -1) {
		uuids[id] = true
	}
	if len(uuids) != clusterSize || strings.Count(out, "127.0.0.1") != clusterSize || strings.Count(out, buildVersion()) != clusterSize {
		t.Errorf("UUIDs, addresses, versions:\n%s", out)
	}
	short := c.must("cluster", "list", "--node", c.node(3), "--columns", "site_id, status,name")
	lines := strings.Split(strings.TrimSpace(short), "\n")
	if len(lines) != clusterSize+1 || !regexp.MustCompile(`^SITE ID +STATUS +NAME$`).MatchString(strings.TrimSpace(lines[0])) ||
		!regexp.MustCompile(`^1 +running +uk-broker-1$`).MatchString(strings.TrimSpace(lines[1])) {
		t.Errorf("chosen columns:\n%s", short)
	}
	if out, code := c.command("cluster", "list", "--node", c.node(1), "--columns", "name,colour"); code == 0 || !strings.Contains(out, `"colour"`) {
		t.Errorf("an unknown column: %d %s", code, out)
	}
	heartbeats := c.must("jobs", "list", "--node", c.node(1), "--kind", "heartbeat", "--columns", "kind,assigned,every,result")
	if got := strings.Count(heartbeats, "5m0s"); got != clusterSize {
		t.Errorf("%d heartbeat jobs:\n%s", got, heartbeats)
	}
}

// showsGoals: the three goals apart, with reasons; all brokers of this test stand on one host, which says how
// busy it is.
func (c *fiveBrokers) showsGoals(t *testing.T) {
	out := c.must("cluster", "status", "--node", c.node(2))
	for _, want := range []string{
		"Availability: not met\n  all brokers that live (uk-broker-1, uk-broker-2, uk-broker-3, uk-broker-4, uk-broker-5) stand on one host\n",
		"Disaster Recovery: not met\n  all brokers that live stand in uk, and no other cluster is known\n", "Capacity: not measured\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	c.until("all brokers say how busy their host is", func() bool {
		list := c.must("cluster", "list", "--node", c.node(4), "--columns", "name,load,busy,steal,host")
		return len(regexp.MustCompile(`(?m)^uk-broker-\d +\d+\.\d\d/\d+ +\d+% +\d+% +[0-9a-f]{12}$`).FindAllString(list, -1)) == clusterSize
	})
	c.until("the pools were counted", func() bool {
		return regexp.MustCompile(`(?m)^floor +8 +0 +8 +0 +0 `).MatchString(c.must("desktops", "pools", "--node", c.node(5)))
	})
}

// operatesJobs runs, cancels and brings back a recurring job.
func (c *fiveBrokers) operatesJobs(t *testing.T) {
	kinds := c.must("jobs", "list", "--node", c.node(1), "--columns", "kind,assigned")
	for _, kind := range []string{"heartbeat", "pool refresh", "desktop_check", "lease maintenance", "pool statistics", "purge"} { // JQ2; scans come with centers
		if !strings.Contains(kinds, "\n"+kind+" ") {
			t.Errorf("no %s job in the queue:\n%s", kind, kinds)
		}
	}
	var jobs []jobLine
	c.until("its first run has ended", func() bool {
		jobs = c.jobsOf("kind=purge")
		return len(jobs) == 1 && jobs[0].State == broker.JobPending && !jobs[0].Ended.IsZero()
	})
	before := jobs[0].Ended
	if out := c.must("jobs", "run", "purge", "--node", c.node(1)); !strings.Contains(out, "purge is") {
		t.Error(out)
	}
	c.until("it has run", func() bool {
		if err := ask(t.Context(), c.node(2), "GET", "jobs?kind=purge", nil, &jobs); err != nil {
			t.Fatal(err)
		}
		return len(jobs) == 1 && jobs[0].State == broker.JobPending && jobs[0].Ended.After(before) && strings.Contains(jobs[0].Result, "deleted")
	})
	first := c.must("jobs", "list", "--node", c.node(1), "--order", "kind", "--limit", "3", "--columns", "id")
	ids := strings.Fields(strings.TrimPrefix(first, "ID"))
	behind := c.must("jobs", "list", "--node", c.node(1), "--order", "kind", "--after", ids[2], "--columns", "id")
	if all := c.must("jobs", "list", "--node", c.node(1), "--order", "kind", "--columns", "id"); len(ids) != 3 ||
		!slices.Equal(append(ids, strings.Fields(strings.TrimPrefix(behind, "ID"))...), strings.Fields(strings.TrimPrefix(all, "ID"))) {
		t.Errorf("in pages:\n%s%s", first, behind)
	}
	if out := c.must("jobs", "cancel", jobs[0].ID, "--node", c.node(2)); !strings.Contains(out, "cancelled") {
		t.Error(out)
	}
	if out := c.must("jobs", "--node", c.node(1), "--state", "cancelled", "--columns", "id,kind,state"); !strings.Contains(out, jobs[0].ID) {
		t.Errorf("cancelled jobs:\n%s", out)
	}
	c.must("jobs", "run", "purge", "--node", c.node(1))
	if out := c.must("jobs", "list", "--node", c.node(1), "--state", "pending,running", "--kind", "purge", "--columns", "kind,every"); !strings.Contains(out, "10m0s") {
		t.Errorf("the job does not recur again:\n%s", out)
	}
	for _, wrong := range [][]string{{"jobs", "cancel", "no-such-job"}, {"jobs", "run", "nothing"}, {"jobs", "list", "--order", "colour"}, {"jobs", "list", "--site", "x"}, {"jobs", "cancel"}} {
		if out, code := c.command(append(wrong, "--node", c.node(1))...); code == 0 || strings.TrimSpace(out) == "" {
			t.Errorf("%v: exit %d, %q", wrong, code, out)
		}
	}
}

// showsDifferences restarts a broker with another lifetime of sessions.
func (c *fiveBrokers) showsDifferences(t *testing.T) {
	columns := []string{"cluster", "list", "--node", c.node(1), "--columns", "name,live,differs"}
	if out := c.must(columns...); strings.Contains(out, "session") {
		t.Errorf("differences without one:\n%s", out)
	}
	c.restart(5, "[broker]\n", "[broker]\nsession_lifetime = \"4h\"\n")
	c.until("the difference is named", func() bool {
		return regexp.MustCompile(`uk-broker-5 +yes +session_lifetime`).MatchString(c.must(columns...))
	})
}

// removes: only what is stopped or unavailable can be removed.
func (c *fiveBrokers) removes(t *testing.T) {
	if out, code := c.command("cluster", "remove", "4", "--node", c.node(1)); code == 0 || !strings.Contains(out, "running") {
		t.Errorf("a running broker is removed: %d %s", code, out)
	}
	c.brokers[3].stop()
	c.until("the list says so", func() bool {
		return strings.Contains(c.must("cluster", "list", "--node", c.node(1), "--columns", "name,status,actions"), "stopped  remove")
	})
	if out := c.must("cluster", "remove", "4", "--node", c.node(1)); !strings.Contains(out, "out of the cluster") {
		t.Error(out)
	}
	if out := c.must("cluster", "list", "--node", c.node(1)); strings.Contains(out, nthBroker(4)) {
		t.Errorf("still listed:\n%s", out)
	}
	for _, site := range []string{"4", "77", "x"} {
		if out, code := c.command("cluster", "remove", site, "--node", c.node(1)); code == 0 {
			t.Errorf("remove %s: %s", site, out)
		}
	}
}

// leaves: a broker that has left serves nobody and stays listed; started again, it is back.
func (c *fiveBrokers) leaves(t *testing.T) {
	if out := c.must("cluster", "leave", "--node", c.node(3)); !strings.Contains(out, "has left the cluster") {
		t.Error(out)
	}
	line := func() (found clusterLine) {
		var lines []clusterLine
		if err := ask(t.Context(), c.node(1), "GET", "cluster", nil, &lines); err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.SiteID == 3 {
				found = l
			}
		}
		return found
	}
	if l := line(); l.Name == "" || l.Live || l.Status != broker.StatusRunning || len(l.Actions) > 0 {
		t.Errorf("it is listed as %+v", l)
	}
	out := c.must("jobs", "list", "--node", c.node(1), "--kind", "heartbeat", "--site", "3", "--columns", "state,assigned")
	if !regexp.MustCompile(`pending +3\b`).MatchString(out) {
		t.Errorf("its pending job:\n%s", out)
	}
	c.until("the balancer sends nobody there", func() bool {
		var checks []checkLine
		if err := ask(t.Context(), c.lb.socket, "GET", "health", nil, &checks); err != nil {
			t.Fatal(err)
		}
		down := 0
		for _, check := range checks {
			if check.State != "up" {
				down++
			}
		}
		return down == 2 // this one and the one that was removed
	})
	c.restart(3, "", "")
	c.until("it is back", func() bool { return line().Live })
}

// restart ends a broker in good order and starts it with a change of its file.
func (c *fiveBrokers) restart(site int, from, to string) {
	c.t.Helper()
	p := c.brokers[site-1]
	p.stop()
	if from != "" {
		c.change(p.config, from, to)
	}
	c.brokers[site-1] = c.launch(nthBroker(site))
	c.until(fmt.Sprintf("broker %d runs again", site), func() bool {
		_, code := c.command("status", "--node", c.node(site))
		return code == 0
	})
}
