package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"switchpoint/admin"
	"switchpoint/broker"
)

// Bounds of the cluster story.
const (
	storyLook = 5 * time.Second  // how long the crowd works before and after each turn
	storyWait = 30 * time.Second // for what takes its time: liveness, jobs, shares of the balancer
)

// clusterStory plays one morning of a cluster, with a crowd at work all along.
type clusterStory struct {
	*clusterStage
	w     io.Writer
	crowd *crowd
	dead  []string
}

// playClusterStory plays all scenes and fails at the first that does not hold: each goes on where the
// one before it has ended.
func playClusterStory(ctx context.Context, w io.Writer, s *clusterStage) (err error) {
	st := &clusterStory{clusterStage: s, w: w}
	defer func() {
		if st.crowd != nil {
			err = errors.Join(err, st.crowd.stop())
		}
	}()
	scenes := []scene{
		{"a", "five brokers on one database", st.fiveBrokers},
		{"b", "thin clients sign in and ask for their desktops, over and over", st.clientsWork},
		{"c", "two brokers are killed: nobody has to sign in again", st.twoKilled},
		{"d", "the job queue goes on without them", st.queueGoesOn},
		{"e", "a broker comes back: it has its site id, and its share of the work", st.oneReturns},
		{"f", "nobody was lost", st.nobodyLost},
	}
	for _, sc := range scenes {
		_, _ = fmt.Fprintf(w, "\n(%s) %s\n", sc.letter, sc.title)
		began := time.Now()
		seen, err := sc.play(ctx)
		took := time.Since(began).Seconds()
		if err != nil {
			_, _ = fmt.Fprintf(w, "    FAILED after %.2f s: %v\n", took, err)
			return fmt.Errorf("part (%s) of the story does not hold; configuration and logs are kept in %s", sc.letter, s.dir)
		}
		_, _ = fmt.Fprintf(w, "    holds (%.2f s): %s\n", took, seen)
	}
	_, _ = fmt.Fprintf(w, "\nall %d parts hold; configuration and logs are kept in %s\n", len(scenes), s.dir)
	return nil
}

// brokers is the cluster's list, as the first broker that lives has it.
func (st *clusterStory) brokers(ctx context.Context) (lines []clusterLine, err error) {
	return lines, st.ask(ctx, http.MethodGet, "cluster", &lines)
}

// ask asks the first broker that lives.
func (st *clusterStory) ask(ctx context.Context, method, path string, out any) error {
	for n := range demoBrokers {
		if p, err := st.process(brokerName(n + 1)); err == nil && p.running() {
			return ask(ctx, p.socket, method, path, nil, out)
		}
	}
	return errors.New("no broker lives")
}

// until asks again and again until nothing is missing.
func (st *clusterStory) until(ctx context.Context, missing func() error) error {
	for end := time.Now().Add(storyWait); ; {
		err := missing()
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (st *clusterStory) work(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(storyLook):
		return st.crowd.trouble()
	}
}

func (st *clusterStory) fiveBrokers(ctx context.Context) (string, error) {
	err := st.until(ctx, func() error {
		lines, err := st.brokers(ctx)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if !l.Live || l.Status != broker.StatusRunning || len(l.Differs) > 0 {
				return fmt.Errorf("%s: live %t, %s (%s), differs in %v", l.Name, l.Live, l.Status, l.Reason, l.Differs)
			}
		}
		if len(lines) != demoBrokers {
			return fmt.Errorf("%d brokers are listed", len(lines))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return "all of them live and run jobs", st.show(ctx, st.w, "cluster", "list")
}

func (st *clusterStory) clientsWork(ctx context.Context) (string, error) {
	var err error
	if st.crowd, err = startCrowd(ctx, "https://"+st.address("127.0.3.80", portLB), st.path("certs", "ca.pem")); err != nil {
		return "", err
	}
	err = st.until(ctx, func() error {
		for n := range demoBrokers {
			if st.crowd.servedBy(brokerName(n+1)) == 0 {
				return fmt.Errorf("%s has served nobody yet", brokerName(n+1))
			}
		}
		return st.crowd.trouble()
	})
	if err != nil {
		return "", err
	}
	err = st.work(ctx)
	return st.tally(), err
}

// tally is what the crowd has done so far.
func (st *clusterStory) tally() string {
	in, offers := st.crowd.total("sign-in"), st.crowd.total("offers")
	return fmt.Sprintf("%d clients; %d sign-ins (%d sent again), %d lists of desktops (%d sent again), slowest %s and %s; %s",
		storyClients, in.done, in.retried, offers.done, offers.retried, in.slowest.Round(time.Millisecond), offers.slowest.Round(time.Millisecond), st.balanced())
}

var retriesLine = regexp.MustCompile(`(?m)^switchpoint_lb_retries_total\{.*\} (\d+)$`)

// balanced says what the balancer has done about brokers that did not answer.
func (st *clusterStory) balanced() string {
	lb, err := st.process("lb")
	if err != nil {
		return err.Error()
	}
	text, err := admin.NewClient(lb.socket).Metrics(context.Background())
	if err != nil {
		return "the balancer does not say what it did: " + err.Error()
	}
	m := retriesLine.FindSubmatch(text)
	if m == nil {
		return "the balancer does not count what it sent to another broker"
	}
	return string(m[1]) + " requests were sent to another broker by the balancer"
}

// twoKilled kills the two brokers that have served most: whose sessions they are does not matter.
func (st *clusterStory) twoKilled(ctx context.Context) (string, error) {
	var names []string
	for n := range demoBrokers {
		names = append(names, brokerName(n+1))
	}
	slices.SortFunc(names, func(a, b string) int { return st.crowd.servedBy(b) - st.crowd.servedBy(a) })
	st.dead = names[:2]
	for _, name := range st.dead {
		p, err := st.process(name)
		if err != nil {
			return "", err
		}
		p.kill()
	}
	_, _ = fmt.Fprintf(st.w, "    kill -9 of %s\n", strings.Join(st.dead, " and "))
	if err := st.work(ctx); err != nil {
		return "", err
	}
	err := st.until(ctx, func() error {
		lines, err := st.brokers(ctx)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if l.Live == slices.Contains(st.dead, l.Name) {
				return fmt.Errorf("%s is listed as live: %t", l.Name, l.Live)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return st.tally(), st.show(ctx, st.w, "cluster", "list", "--columns", "name,live,status,site_id,last_heartbeat,report")
}

// queueGoesOn makes the cluster's recurring jobs due and waits until brokers that live have run them.
func (st *clusterStory) queueGoesOn(ctx context.Context) (string, error) {
	var before []jobLine
	if err := st.ask(ctx, http.MethodGet, "jobs?state=pending,running", &before); err != nil {
		return "", err
	}
	last := make(map[string]time.Time)
	for _, j := range before {
		if j.Kind == broker.KindHeartbeat {
			continue // of one broker alone
		}
		last[j.ID] = j.Started
		query := url.Values{"kind": {j.Kind}, "target": {j.Target}, "by": {"demo"}}
		if err := st.ask(ctx, http.MethodPost, "jobs/run?"+query.Encode(), &explanation{}); err != nil {
			return "", err
		}
	}
	if len(last) == 0 {
		return "", errors.New("the queue has no jobs of the cluster")
	}
	var ran []string
	err := st.until(ctx, func() error {
		var now []jobLine
		if err := st.ask(ctx, http.MethodGet, "jobs?state=pending,running", &now); err != nil {
			return err
		}
		ran = ran[:0]
		for _, j := range now {
			began, ours := last[j.ID]
			if !ours {
				continue
			}
			site := brokerName(j.SiteID)
			if j.State != broker.JobPending || !j.Started.After(began) || slices.Contains(st.dead, site) {
				return fmt.Errorf("%s %s is %s, ran last at %s by %s", j.Kind, j.Target, j.State, j.Started.Format(time.TimeOnly), site)
			}
			ran = append(ran, j.Kind+" by "+site)
		}
		if len(ran) != len(last) {
			return fmt.Errorf("%d of %d jobs are in the queue", len(ran), len(last))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return strings.Join(ran, ", "), st.show(ctx, st.w, "jobs", "list", "--columns", "kind,target,state,scheduled,site_id,took")
}

// oneReturns starts one of the dead again.
func (st *clusterStory) oneReturns(ctx context.Context) (string, error) {
	name := st.dead[0]
	p, err := st.process(name)
	if err != nil {
		return "", err
	}
	before := st.crowd.servedBy(name)
	began := time.Now()
	if err := p.launch("run", "-c", p.config, "--until-eof"); err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	if err := st.await(bounded, p); err != nil {
		return "", err
	}
	back := time.Since(began)
	err = st.until(ctx, func() error {
		lines, err := st.brokers(ctx)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if l.Name == name && (!l.Live || l.Status != broker.StatusRunning) {
				return fmt.Errorf("%s: live %t, %s", name, l.Live, l.Status)
			}
		}
		if st.crowd.servedBy(name) == before {
			return fmt.Errorf("%s has served nobody since", name)
		}
		return st.crowd.trouble()
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s serves %.1f s after its start", name, back.Seconds()),
		errors.Join(st.work(ctx), st.show(ctx, st.w, "cluster", "list", "--columns", "name,live,status,site_id,booted"))
}

// nobodyLost ends the crowd.
func (st *clusterStory) nobodyLost(context.Context) (string, error) {
	err := st.crowd.stop()
	return st.tally() + "; nobody had to sign in again", err
}
