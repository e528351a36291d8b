package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"switchpoint/broker"
)

// jobsView is the page Job Queue.
type jobsView struct {
	Query   jobQuery
	AsOf    stamp
	Counts  []stateCount
	Late    string // how long the longest due pending job has been waiting
	Kinds   []string
	Sites   []site
	Headers []header
	Orders  []orderLabel
	Rows    []jobRow
	From    int // of the rows shown, counted from 1
	To      int
	Before  string // links to the pages on both sides
	After   string
	First   string // link to the first page, from where Before does not lead there
}

type stateCount struct {
	State broker.JobState
	Count int
	Link  string
	Here  bool
}

type site struct {
	ID   int
	Name string
}

// header is the head of a column that the table can be sorted by, or not.
type header struct {
	Label, Link string
	Sorted      string // as aria-sort says it
}

// jobRow is one job as the pages show it.
type jobRow struct {
	broker.Job
	Stopping   bool // asked to stop, and has not yet
	Over       bool // it has ended for good
	Failed     bool // the newest run did; a job that somebody cancelled did not
	Cancels    bool // can be cancelled
	Runs       bool // can be told to run now
	Scheduled  stamp
	StartedAt  stamp
	EndedAt    stamp
	Succeeded  stamp
	Duration   string
	Recurs     string
	RunByName  string
	ForName    string
	MeansToEnd string // what cancelling it means
}

func (c Cluster) jobsPage(v *Visit) (Shown, error) {
	q, err := parseJobQuery(v.URL.Query())
	if err != nil {
		return Shown{}, err
	}
	list, err := c.Brokers(v.Context())
	if err != nil {
		return Shown{}, err
	}
	counts, err := c.JobCounts(v.Context())
	if err != nil {
		return Shown{}, err
	}
	jobs, err := c.Jobs(v.Context(), q.filter())
	if err != nil {
		return Shown{}, err
	}
	at := clockOf(list)
	out := jobsView{Query: q, AsOf: stampOf(at, at), Headers: q.headers(), Orders: jobOrders}
	out.Counts, out.Kinds, out.Late = countStates(counts, q)
	for _, b := range list {
		out.Sites = append(out.Sites, site{b.SiteID, b.Name})
	}
	out.page(jobs, namesOf(list), at)
	return Shown{Template: "jobs.html", Data: out, Live: true}, nil
}

// page cuts the rows of the page that was asked for out of those before and on it, and one more.
func (o *jobsView) page(jobs []broker.Job, names map[int]string, at time.Time) {
	first := min((o.Query.Page-1)*jobsPerPage, len(jobs))
	last := min(first+jobsPerPage, len(jobs))
	for _, j := range jobs[first:last] {
		o.Rows = append(o.Rows, rowOf(j, names, at))
	}
	o.From, o.To = o.Query.Skip+first+1, o.Query.Skip+last
	switch {
	case o.Query.Page > 1:
		o.Before = o.Query.with(func(q *jobQuery) { q.Page-- })
	case o.Query.After != "":
		o.First = o.Query.with((*jobQuery).start)
	}
	switch {
	case len(jobs) <= last:
	case o.Query.Page < maxPages:
		o.After = o.Query.with(func(q *jobQuery) { q.Page++ })
	default: // a list has an end; the next one begins behind it
		o.After = o.Query.with(func(q *jobQuery) { q.Page, q.After, q.Skip = 1, jobs[last-1].ID, q.Skip+last })
	}
}

// countStates adds the counts of all kinds up, and finds how late the queue is.
func countStates(counts []broker.JobCount, q jobQuery) (states []stateCount, kinds []string, late string) {
	var due time.Duration
	sums := make(map[broker.JobState]int)
	for _, n := range counts {
		sums[n.State] += n.Count
		if !slices.Contains(kinds, n.Kind) {
			kinds = append(kinds, n.Kind)
		}
		if n.State == broker.JobPending && n.Kind != broker.KindHeartbeat { // that of a dead broker waits for nobody else
			due = max(due, n.Due)
		}
	}
	for _, s := range jobStates {
		here := q.State == s
		to := q.with(func(q *jobQuery) {
			if q.State = s; here {
				q.State = ""
			}
			q.start()
		})
		states = append(states, stateCount{State: s, Count: sums[s], Link: to, Here: here})
	}
	slices.Sort(kinds)
	if due > 5*time.Second {
		late = span(due)
	}
	return states, kinds, late
}

func rowOf(j broker.Job, names map[int]string, at time.Time) jobRow {
	r := jobRow{
		Job: j, Stopping: j.State == broker.JobRunning && j.Cancelling,
		Over: j.State != broker.JobPending && j.State != broker.JobRunning, Failed: j.Error != "" && j.State != broker.JobCancelled,
		Cancels:   j.State == broker.JobPending || j.State == broker.JobRunning && !j.Cancelling,
		Runs:      runnable(j, at),
		Scheduled: stampOf(j.RunAt, at), StartedAt: stampOf(j.Started, at), EndedAt: stampOf(j.Ended, at), Succeeded: stampOf(j.Succeeded, at),
		RunByName: names[j.RunBy], ForName: names[j.For],
	}
	switch {
	case j.State == broker.JobRunning && !j.Started.IsZero():
		r.Duration = span(at.Sub(j.Started)) + " so far"
	case !j.Started.IsZero() && !j.Ended.Before(j.Started):
		r.Duration = span(j.Took())
	}
	if j.Every > 0 {
		r.Recurs = "every " + span(j.Every)
	}
	r.MeansToEnd = cancelMeans(j, names)
	return r
}

// runnable says whether a job can be made due now: one that recurs and waits for its time, or that was
// cancelled and shall recur again. A heartbeat is brought back by its broker alone.
func runnable(j broker.Job, at time.Time) bool {
	switch {
	case j.Every == 0:
		return false
	case j.State == broker.JobPending:
		return j.RunAt.After(at)
	}
	return j.State == broker.JobCancelled && j.Kind != broker.KindHeartbeat
}

// cancelMeans says what a person should know before cancelling.
func cancelMeans(j broker.Job, names map[int]string) string {
	switch {
	case j.Kind == broker.KindHeartbeat:
		id, _ := strconv.Atoi(j.Target)
		who := "The broker with site id " + j.Target
		if names[id] != "" {
			who = fmt.Sprintf("%s (site id %d)", names[id], id)
		}
		return who + " becomes Stopped: it takes no more jobs from the queue until it starts again or joins the cluster again. It goes on serving logins."
	case j.Every > 0:
		return "This job recurs, and its recurrence ends until it is told to run now, or until a broker that starts adds it to the queue anew. For jobs of the inventory a change of the setup does that too."
	case j.State == broker.JobRunning:
		return "The job is not run again. What it has done so far stays done."
	}
	return "The job is never run."
}

// job finds the one that a form or an address names.
func (c Cluster) job(v *Visit, id string) (jobRow, error) {
	if id == "" {
		return jobRow{}, &Error{Status: http.StatusBadRequest, Text: "The address names no job."}
	}
	jobs, err := c.Jobs(v.Context(), broker.JobFilter{ID: id, Limit: 1})
	if err != nil {
		return jobRow{}, err
	}
	if len(jobs) == 0 {
		return jobRow{}, &Error{Status: http.StatusNotFound, Text: "The queue has no such job. Ended jobs are deleted after some days."}
	}
	list, err := c.Brokers(v.Context())
	if err != nil {
		return jobRow{}, err
	}
	return rowOf(jobs[0], namesOf(list), clockOf(list)), nil
}

func (c Cluster) jobPage(v *Visit) (Shown, error) {
	row, err := c.job(v, v.URL.Query().Get("id"))
	return Shown{Template: "job.html", Title: "Job: " + row.Kind, Data: row, Live: true}, err
}

func (c Cluster) cancelPage(v *Visit) (Shown, error) {
	row, err := c.job(v, v.URL.Query().Get("id"))
	return Shown{Template: "cancel.html", Title: "Cancel job: " + row.Kind, Data: row}, err
}

func (c Cluster) cancel(v *Visit) (Done, error) {
	row, err := c.job(v, v.PostForm.Get("id"))
	if err != nil {
		return Done{}, err
	}
	state, err := c.CancelJob(v.Context(), row.ID, v.By)
	if err != nil {
		return Done{}, err
	}
	note := fmt.Sprintf("The job %s was cancelled.", jobTitle(row.Job))
	if state == broker.JobRunning {
		note = fmt.Sprintf("The broker with site id %d was asked to stop the job %s.", row.RunBy, jobTitle(row.Job))
	}
	return Done{To: jobAt(row.ID), Note: note}, nil
}

func (c Cluster) runNow(v *Visit) (Done, error) {
	row, err := c.job(v, v.PostForm.Get("id"))
	if err != nil {
		return Done{}, err
	}
	list, err := c.RunJobs(v.Context(), row.Kind, row.Target, v.By)
	if err != nil {
		return Done{}, err
	}
	done := Done{To: jobAt(row.ID), Note: fmt.Sprintf("The job %s is due now; the next free broker takes it.", jobTitle(row.Job))}
	if len(list) > 0 {
		done.To = jobAt(list[0].ID)
		if list[0].State == broker.JobRunning {
			done.Note = fmt.Sprintf("The job %s runs already.", jobTitle(row.Job))
		}
	}
	return done, nil
}

// jobTitle names a job to people.
func jobTitle(j broker.Job) string {
	if j.Target == "" {
		return j.Kind
	}
	return j.Kind + " of " + j.Target
}

func jobAt(id string) string { return consolePath + "jobs/job?id=" + url.QueryEscape(id) }
