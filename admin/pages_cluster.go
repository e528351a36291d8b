package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchpoint/broker"
)

// clusterView is the page Cluster Management.
type clusterView struct {
	Cluster  string
	AsOf     stamp
	Running  int
	Stopped  int
	Gone     int // unavailable
	Silent   int // running by the queue, and yet no sign of life for some seconds
	Warnings []string
	Goals    []goalView
	Columns  []column
	Rows     []brokerRow
}

// goalView is one of the goals of the cluster; Mark is the class of its badge.
type goalView struct {
	broker.Goal
	Mark string
}

func goalViews(goals []broker.Goal) []goalView {
	marks := map[broker.GoalState]string{broker.GoalMet: "running", broker.GoalAtRisk: "differs", broker.GoalNotMet: "unavailable"}
	out := make([]goalView, len(goals))
	for i, g := range goals {
		out[i] = goalView{g, marks[g.State]}
	}
	return out
}

// brokerRow is one broker as the table shows it.
type brokerRow struct {
	broker.NodeStatus
	Here      bool // the broker of this process
	Removable bool
	Config    string // short form of its fingerprint
	Differs   string // the shared settings in which it stands apart
	Liveness  string
	HostLoad  string
	PerSecond string // logins that it carries
	Since     string // in words, of a liveness that is none
	StartedAt stamp
	LastBeat  stamp // newest heartbeat job that succeeded
	NextBeat  stamp
}

func (c Cluster) clusterPage(v *Visit) (Shown, error) {
	list, err := c.Brokers(v.Context())
	if err != nil {
		return Shown{}, err
	}
	goals, err := c.Goals(v.Context())
	if err != nil {
		return Shown{}, err
	}
	at := clockOf(list)
	out := clusterView{Goals: goalViews(goals), Cluster: c.Name, AsOf: stampOf(at, at), Columns: shownColumns(parseColumns(cookie(v.Request, cookieColumns))), Warnings: warnings(list)}
	differ := broker.ConfigDifferences(list)
	for _, b := range list {
		switch b.Status {
		case broker.StatusRunning:
			out.Running++
			if !b.Live {
				out.Silent++
			}
		case broker.StatusStopped:
			out.Stopped++
		default:
			out.Gone++
		}
		out.Rows = append(out.Rows, c.row(b, differ[b.SiteID], at))
	}
	return Shown{Template: "cluster.html", Data: out, Live: true}, nil
}

func (c Cluster) row(b broker.NodeStatus, differs []string, at time.Time) brokerRow {
	alive, since := liveness(b)
	load, carries := "", ""
	if b.Live {
		load = b.Load.String()
	}
	if b.Carries > 0 {
		carries = fmt.Sprintf("%.1f/s", b.Carries)
	}
	return brokerRow{
		HostLoad: load, PerSecond: carries,
		NodeStatus: b, Liveness: alive, Since: since, Here: b.SiteID == c.SiteID, Removable: removable(b), Differs: strings.Join(differs, ", "), Config: broker.FingerprintID(b.Fingerprint),
		StartedAt: stampOf(b.Booted, at), LastBeat: stampOf(b.LastHeartbeat, at), NextBeat: stampOf(b.NextHeartbeat, at),
	}
}

// removable is PG4. The store decides again, in the transaction that removes.
func removable(b broker.NodeStatus) bool {
	return b.Status == broker.StatusStopped || b.Status == broker.StatusUnavailable
}

// liveness is whether the process lives, by its beat: seconds, where the status takes minutes (DC2).
func liveness(b broker.NodeStatus) (word, since string) {
	switch {
	case b.Live:
		return "alive", ""
	case b.Stopped:
		return "left", ago(b.Age)
	}
	return "silent", "for " + span(b.Age)
}

// warnings are what a person should see before the table.
func warnings(list []broker.NodeStatus) []string {
	var out []string
	differ := broker.ConfigDifferences(list)
	for _, b := range list {
		if d := differ[b.SiteID]; len(d) > 0 {
			out = append(out, fmt.Sprintf("%s (site id %d) stands apart from the other brokers in %s.", b.Name, b.SiteID, strings.Join(d, ", ")))
		}
		if b.ClockWrong() {
			way := "ahead of"
			if b.ClockOff < 0 {
				way = "behind"
			}
			out = append(out, fmt.Sprintf("The clock of %s (site id %d) is %s %s the database's. Times in its own log are wrong; the cluster goes by the database's.", b.Name, b.SiteID, span(b.ClockOff.Abs()), way))
		}
	}
	return out
}

// removeView asks whether a broker shall go.
type removeView struct {
	brokerRow
	Waiting string // pending jobs that go to the others
}

func (c Cluster) removePage(v *Visit) (Shown, error) {
	site, err := siteID(v.URL.Query().Get("site"))
	if err != nil {
		return Shown{}, err
	}
	list, err := c.Brokers(v.Context())
	if err != nil {
		return Shown{}, err
	}
	i := slices.IndexFunc(list, func(b broker.NodeStatus) bool { return b.SiteID == site })
	if i < 0 {
		return Shown{}, &Error{Status: http.StatusNotFound, Text: fmt.Sprintf("The cluster has no broker with site id %d. It may have been removed already.", site)}
	}
	jobs, err := c.Jobs(v.Context(), broker.JobFilter{Site: site, States: []broker.JobState{broker.JobPending}, Limit: maxJobs})
	if err != nil {
		return Shown{}, err
	}
	return Shown{
		Template: "remove.html", Title: "Remove " + list[i].Name,
		Data: removeView{brokerRow: c.row(list[i], nil, clockOf(list)), Waiting: waiting(jobs, site)},
	}, nil
}

// waiting counts the jobs that only this broker may run. Its heartbeat is about itself and goes with it.
func waiting(jobs []broker.Job, site int) string {
	n := 0
	for _, j := range jobs {
		if j.For == site && j.Kind != broker.KindHeartbeat {
			n++
		}
	}
	if len(jobs) == maxJobs {
		return fmt.Sprintf("at least %d", n)
	}
	return strconv.Itoa(n)
}

func (c Cluster) remove(v *Visit) (Done, error) {
	site, err := siteID(v.PostForm.Get("site"))
	if err != nil {
		return Done{}, err
	}
	moved, err := c.RemoveBroker(v.Context(), site, v.By)
	if err != nil {
		return Done{}, err
	}
	return Done{To: consolePath + "cluster", Note: fmt.Sprintf("The broker with site id %d was removed. %d of its jobs went to the other brokers.", site, moved)}, nil
}
