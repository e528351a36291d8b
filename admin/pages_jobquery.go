package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"switchpoint/broker"
)

const (
	maxJobs     = 1000 // that a store lists at most
	jobsPerPage = 50
	maxPages    = maxJobs/jobsPerPage - 1 // counted from the start, or from behind a job
	maxWord     = 200                     // bytes of a kind that is filtered by
)

var jobStates = []broker.JobState{broker.JobPending, broker.JobRunning, broker.JobFinished, broker.JobCancelled, broker.JobAborted}

// orderLabel is a column that the table can be sorted by.
type orderLabel struct {
	Order broker.JobOrder
	Label string
}

var jobOrders = []orderLabel{
	{broker.JobsByState, "State"}, {broker.JobsByScheduled, "Scheduled"}, {broker.JobsByKind, "Kind"},
	{broker.JobsByTarget, "Target"}, {broker.JobsBySite, "Site ID"}, {broker.JobsByStarted, "Started"},
}

// jobQuery is what the address of the page asks for.
type jobQuery struct {
	State   broker.JobState // "" is all
	Kind    string
	Site    int
	Order   broker.JobOrder
	Up      bool   // smallest first
	Page    int    // from 1
	After   string // the job that the first page follows; "" is none
	Skip    int    // jobs before that page
	Refresh bool
}

// parseJobQuery refuses what it does not know, so that a mistyped address does not show other jobs
// than it says.
func parseJobQuery(v url.Values) (jobQuery, error) {
	q := jobQuery{State: broker.JobState(v.Get("state")), Kind: v.Get("kind"), Order: broker.JobOrder(v.Get("order")), Up: v.Get("up") == "1", Page: 1, Refresh: v.Get("refresh") == "on"}
	if q.Order == "" {
		q.Order = broker.JobsByScheduled
	}
	bad := func(what string) (jobQuery, error) {
		return jobQuery{}, &Error{Status: http.StatusBadRequest, Text: "The address of this page is not right: " + what + "."}
	}
	if q.State != "" && !slices.Contains(jobStates, q.State) {
		return bad("no job has the state " + strconv.Quote(string(q.State)))
	}
	if !slices.ContainsFunc(jobOrders, func(o orderLabel) bool { return o.Order == q.Order }) {
		return bad("jobs cannot be sorted by " + strconv.Quote(string(q.Order)))
	}
	if len(q.Kind) > maxWord {
		return bad("the kind is too long")
	}
	var err error
	if text := v.Get("site"); text != "" {
		if q.Site, err = siteID(text); err != nil {
			return jobQuery{}, err
		}
	}
	if text := v.Get("page"); text != "" {
		if q.Page, err = strconv.Atoi(text); err != nil || q.Page < 1 || q.Page > maxPages {
			return bad("pages go from 1 to " + strconv.Itoa(maxPages))
		}
	}
	if q.After = v.Get("after"); len(q.After) > maxWord {
		return bad("the job is too long")
	}
	if text := v.Get("skip"); text != "" {
		if q.Skip, err = strconv.Atoi(text); err != nil || q.Skip < 0 {
			return bad(strconv.Quote(text) + " is no number of jobs")
		}
	}
	return q, nil
}

// filter asks for everything up to the end of the page, and one row more to see whether it goes on.
func (q jobQuery) filter() broker.JobFilter {
	f := broker.JobFilter{Site: q.Site, After: q.After, Order: q.Order, Descending: !q.Up, Limit: min(q.Page*jobsPerPage+1, maxJobs)}
	if q.State != "" {
		f.States = []broker.JobState{q.State}
	}
	if q.Kind != "" {
		f.Kinds = []string{q.Kind}
	}
	return f
}

// with is the link to the page with something changed.
func (q jobQuery) with(change func(*jobQuery)) string {
	change(&q)
	v := url.Values{}
	set := func(key, value string, yes bool) {
		if yes {
			v.Set(key, value)
		}
	}
	set("state", string(q.State), q.State != "")
	set("kind", q.Kind, q.Kind != "")
	set("site", strconv.Itoa(q.Site), q.Site != 0)
	set("order", string(q.Order), q.Order != broker.JobsByScheduled)
	set("up", "1", q.Up)
	set("page", strconv.Itoa(q.Page), q.Page > 1)
	set("after", q.After, q.After != "")
	set("skip", strconv.Itoa(q.Skip), q.Skip > 0)
	set("refresh", "on", q.Refresh)
	return "?" + v.Encode()
}

// start goes back to the first job.
func (q *jobQuery) start() { q.Page, q.After, q.Skip = 1, "", 0 }

// Filtered says whether the list is narrowed.
func (q jobQuery) Filtered() bool { return q.State != "" || q.Kind != "" || q.Site != 0 }

// headers are the heads of the table; a click sorts by that column, another turns it round.
func (q jobQuery) headers() []header {
	var out []header
	for _, o := range jobOrders {
		h := header{Label: o.Label, Sorted: "none"}
		if here := q.Order == o.Order; here {
			if h.Sorted = "descending"; q.Up {
				h.Sorted = "ascending"
			}
		}
		h.Link = q.with(func(q *jobQuery) {
			q.Up, q.Order = q.Order == o.Order && !q.Up, o.Order
			q.start()
		})
		out = append(out, h)
	}
	return out
}
