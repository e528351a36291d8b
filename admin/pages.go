package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"switchpoint/broker"
)

// Cluster is what the pages of the section System ask and do. Its funcs are the methods of the same
// names of broker.Broker.
type Cluster struct {
	Name   string // of the cluster
	SiteID int    // of the broker in this process

	Brokers      func(ctx context.Context) ([]broker.NodeStatus, error)
	RemoveBroker func(ctx context.Context, siteID int, by string) (moved int, err error)
	Goals        func(ctx context.Context) ([]broker.Goal, error)

	Jobs      func(ctx context.Context, f broker.JobFilter) ([]broker.Job, error)
	JobCounts func(ctx context.Context) ([]broker.JobCount, error)
	CancelJob func(ctx context.Context, id, by string) (broker.JobState, error)
	RunJobs   func(ctx context.Context, kind, target, by string) ([]broker.Job, error)
}

// ClusterPages are the pages Cluster Management and Job Queue.
func ClusterPages(c Cluster) []Page {
	return []Page{
		{
			Path: "cluster", Section: "System", Title: "Cluster Management",
			Views: map[string]View{"": c.clusterPage, "columns": c.columnsPage, "remove": c.removePage},
			Acts:  map[string]Act{"columns": c.chooseColumns, "remove": c.remove},
		},
		{
			Path: "jobs", Section: "System", Title: "Job Queue",
			Views: map[string]View{"": c.jobsPage, "job": c.jobPage, "cancel": c.cancelPage},
			Acts:  map[string]Act{"cancel": c.cancel, "run": c.runNow},
		},
	}
}

// clockOf is the database's clock as the list of brokers tells it; all times of the pages are the
// database's. This process's own clock is asked only when there is no broker at all.
func clockOf(brokers []broker.NodeStatus) time.Time {
	if len(brokers) == 0 {
		return time.Now()
	}
	return brokers[0].Heartbeat.Add(brokers[0].Age)
}

// namesOf are the names of the brokers by site id.
func namesOf(brokers []broker.NodeStatus) map[int]string {
	m := make(map[int]string, len(brokers))
	for _, b := range brokers {
		m[b.SiteID] = b.Name
	}
	return m
}

func siteID(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, &Error{Status: http.StatusBadRequest, Text: "There is no such site id: " + strconv.Quote(text) + "."}
	}
	return n, nil
}
