package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"switchpoint/admin"
	"switchpoint/broker"
)

// leaveBound is how long a broker that leaves the cluster may take to end its jobs.
const leaveBound = 25 * time.Second

// clusterRoutes are the operations on the brokers of a cluster and on their job queue.
func (a *app) clusterRoutes() map[string]admin.Operation {
	return map[string]admin.Operation{
		"GET cluster":         a.ofStore(a.showCluster),
		"GET cluster/status":  a.ofStore(a.showGoals),
		"POST cluster/remove": a.ofBroker(a.removeBroker),
		"POST cluster/leave":  a.ofBroker(a.leaveCluster),
		"GET jobs":            a.ofBroker(a.showJobs),
		"POST jobs/cancel":    a.ofBroker(a.cancelJob),
		"POST jobs/run":       a.ofBroker(a.runJobs),
	}
}

// ofBroker refuses an operation where there is no broker.
func (a *app) ofBroker(op admin.Operation) admin.Operation {
	return func(ctx context.Context, r admin.Request) (any, error) {
		if a.broker == nil {
			return nil, notHere("broker")
		}
		return op(ctx, r)
	}
}

// clusterLine is one broker as the admin API tells it (PG1).
type clusterLine struct {
	Name          string        `json:"name"`
	Datacenter    string        `json:"datacenter"`
	IP            string        `json:"ip"`
	Status        broker.Status `json:"status"`
	Reason        string        `json:"reason"` // why it is that
	Version       string        `json:"version"`
	SiteID        int           `json:"site_id"`
	UUID          string        `json:"uuid"`
	MAC           string        `json:"mac"`
	Booted        time.Time     `json:"booted"`
	LastHeartbeat time.Time     `json:"last_heartbeat,omitzero"`
	NextHeartbeat time.Time     `json:"next_heartbeat,omitzero"`
	Missed        int           `json:"missed"`
	Report        string        `json:"report"` // what the newest heartbeat found
	// Live says whether the process was heard of within 6 s; Beat when (DC2).
	Live    bool      `json:"live"`
	Beat    time.Time `json:"beat"`
	Actions []string  `json:"actions,omitempty"` // what may be done to it now (PG4)
	// Config identifies its configuration; Differs names the settings in which it stands apart.
	Config  string   `json:"config"`
	Differs []string `json:"differs,omitempty"`
	Self    bool     `json:"self,omitempty"` // it is the broker that was asked
	// Host tells hosts apart; how busy it is as a whole; Carries are logins a second (OP2).
	Host    string          `json:"host,omitempty"`
	Load    broker.HostLoad `json:"load"`
	Carries float64         `json:"carries,omitempty"`
	// ClockOff is how far its clock is ahead of the database's, where that is too much; nothing depends on it.
	ClockOff string `json:"clock_off,omitempty"`
}

func (a *app) clusterLines(ctx context.Context) ([]clusterLine, error) {
	list, err := a.broker.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	differs := broker.ConfigDifferences(list)
	out := make([]clusterLine, len(list))
	for i, n := range list {
		out[i] = clusterLine{
			Name: n.Name, Datacenter: n.Datacenter, IP: n.IP, Status: n.Status, Reason: n.Reason, Version: n.Version, SiteID: n.SiteID,
			UUID: n.UUID, MAC: n.MAC, Booted: n.Booted, LastHeartbeat: n.LastHeartbeat, NextHeartbeat: n.NextHeartbeat, Missed: n.Missed,
			Report: n.Report, Live: n.Live, Beat: n.Heartbeat, Config: broker.FingerprintID(n.Fingerprint), Differs: differs[n.SiteID],
			Self: n.SiteID == a.broker.Node().SiteID, Host: n.Host, Load: n.Load, Carries: n.Carries,
		}
		if n.ClockWrong() {
			out[i].ClockOff = fmt.Sprintf("%+.0fs", n.ClockOff.Seconds())
		}
		if n.Status != broker.StatusRunning {
			out[i].Actions = []string{"remove"}
		}
	}
	return out, nil
}

func (a *app) showCluster(ctx context.Context, _ admin.Request) (any, error) {
	return a.clusterLines(ctx)
}

func (a *app) showGoals(ctx context.Context, _ admin.Request) (any, error) {
	return a.broker.Goals(ctx)
}

func (a *app) removeBroker(ctx context.Context, r admin.Request) (any, error) {
	site, err := strconv.Atoi(r.Query.Get("site"))
	if err != nil {
		return nil, badRequest(fmt.Errorf("%q is no site id", r.Query.Get("site")))
	}
	jobs, err := a.broker.RemoveBroker(ctx, site, operator(r))
	if err != nil {
		return nil, err
	}
	return explanation{[]string{fmt.Sprintf("site id %d is out of the cluster; %d pending jobs went to the other brokers", site, jobs)}}, nil
}

func (a *app) leaveCluster(ctx context.Context, r admin.Request) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, leaveBound)
	defer cancel()
	if err := a.broker.Detach(ctx, operator(r), a.workEnded); err != nil {
		return nil, err
	}
	return explanation{[]string{
		fmt.Sprintf("this broker (site id %d) has left the cluster and serves nobody", a.broker.Node().SiteID),
		"its pending jobs stay its own until another broker removes it: `switchpoint cluster remove`",
		"give it another [broker.database] before it is started again, or it joins again",
	}}, nil
}

// runWorker works off the job queue until ctx ends or the broker leaves the cluster.
func (a *app) runWorker(ctx context.Context) error {
	defer close(a.workEnded)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	defer func() { <-ended }()
	go func() {
		defer close(ended)
		select {
		case <-a.broker.Leaving():
			cancel()
		case <-ctx.Done():
		}
	}()
	defer cancel()
	return a.worker.Run(ctx)
}

// jobLine is one job as the admin API tells it (JQ1).
type jobLine struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	Target    string          `json:"target"`
	State     broker.JobState `json:"state"`
	Scheduled time.Time       `json:"scheduled"`
	SiteID    int             `json:"site_id"`  // that ran it last
	Assigned  int             `json:"assigned"` // the only one that may run it; 0: any
	Every     string          `json:"every,omitempty"`
	Started   time.Time       `json:"started,omitzero"`
	Ended     time.Time       `json:"ended,omitzero"`
	Took      string          `json:"took,omitempty"`
	Attempts  int             `json:"attempts,omitempty"`
	Result    string          `json:"result,omitempty"`
	Error     string          `json:"error,omitempty"`
}

func (a *app) showJobs(ctx context.Context, r admin.Request) (any, error) {
	filter, err := jobFilter(r)
	if err != nil {
		return nil, badRequest(err)
	}
	list, err := a.broker.Jobs(ctx, filter)
	if err != nil {
		return nil, err
	}
	out := make([]jobLine, len(list))
	for i, j := range list {
		out[i] = jobLine{
			ID: j.ID, Kind: j.Kind, Target: j.Target, State: j.State, Scheduled: j.RunAt, SiteID: j.RunBy, Assigned: j.For,
			Started: j.Started, Ended: j.Ended, Attempts: j.Attempts, Result: j.Result, Error: j.Error,
		}
		if j.Every > 0 {
			out[i].Every = j.Every.String()
		}
		if t := j.Took(); t > 0 {
			out[i].Took = t.Round(time.Millisecond).String()
		}
	}
	return out, nil
}

func jobFilter(r admin.Request) (broker.JobFilter, error) {
	f := broker.JobFilter{Target: r.Query.Get("target"), After: r.Query.Get("after"), Order: broker.JobOrder(r.Query.Get("order")), Descending: r.Query.Get("descending") != ""}
	for _, s := range listed(r.Query.Get("state")) {
		f.States = append(f.States, broker.JobState(s))
	}
	f.Kinds = listed(r.Query.Get("kind"))
	for _, n := range []struct {
		key string
		out *int
	}{{"site", &f.Site}, {"limit", &f.Limit}} {
		text := cmp.Or(r.Query.Get(n.key), "0")
		v, err := strconv.Atoi(text)
		if err != nil || v < 0 {
			return f, fmt.Errorf("%s: %q is no number", n.key, text)
		}
		*n.out = v
	}
	return f.Check()
}

// listed are the parts of a list that is written with commas.
func listed(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func (a *app) cancelJob(ctx context.Context, r admin.Request) (any, error) {
	id := r.Query.Get("id")
	state, err := a.broker.CancelJob(ctx, id, operator(r))
	if err != nil {
		return nil, err
	}
	if state == broker.JobRunning {
		return explanation{[]string{"job " + id + " is being stopped by the broker that runs it"}}, nil
	}
	return explanation{[]string{fmt.Sprintf("job %s is %s", id, state)}}, nil
}

func (a *app) runJobs(ctx context.Context, r admin.Request) (any, error) {
	list, err := a.broker.RunJobs(ctx, r.Query.Get("kind"), r.Query.Get("target"), operator(r))
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, j := range list {
		name := strings.TrimSpace(j.Kind + " " + j.Target)
		if j.State == broker.JobRunning {
			lines = append(lines, fmt.Sprintf("%s is running already, at site id %d (job %s)", name, j.RunBy, j.ID))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s is due now (job %s)", name, j.ID))
	}
	return explanation{lines}, nil
}

// operator is who asks, as the command line says; whoever may open the socket may say so.
func operator(r admin.Request) string { return cmp.Or(r.Query.Get("by"), "admin") }
