package broker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// JobState is where a job is (JQ1).
//
//	           claim                    end: finished
//	pending ----------> running -----------------------> finished      one run only
//	   ^  |                |  |  end: failed, or lost
//	   |  | cancel         |  |  MaxAttempts times
//	   |  +-> cancelled <--+  +----------------------------> aborted   one run only
//	   |                   |
//	   +-------------------+  recurring, after each run; sent back by its handler or by a broker
//	                          that stops; the lease ran out: its broker is dead or cut off
//
// A run that failed or was lost while its job goes back to pending is kept as an aborted row of
// its own. Finished, cancelled and aborted never change again.
type JobState string

// The states, in the words of the Job Queue page.
const (
	JobPending   JobState = "pending"
	JobRunning   JobState = "running"
	JobFinished  JobState = "finished"
	JobCancelled JobState = "cancelled" // by a user or by another job
	JobAborted   JobState = "aborted"   // it quit unexpectedly
)

// MaxAttempts is how many runs in a row a job may lose with its broker. One that ends every
// broker that takes it must not go through the whole cluster for ever: after that a job that runs
// once is aborted, and a recurring one waits for its next turn.
const MaxAttempts = 5

// NewJob is a job to add.
type NewJob struct {
	ID      string        // UUIDv7; Broker.AddJobs fills it in
	Kind    string        // which handler runs it
	Target  string        // what it works on: a site id, a center, a desktop; empty for the cluster
	Payload string        // for the handler; never a secret, the page shows it
	Every   time.Duration // recurring: the time from one run to the next; 0 runs once
	After   time.Duration // the first run is due that long after now, by the database's clock
	For     int           // the site id of the only broker that may run it; 0 is any
	// Unique refuses a second job of Kind and Target while one is pending or running. Recurring
	// jobs always are: adding one that exists brings its Payload and Every up to date and never
	// postpones its next run.
	Unique bool
}

// AddedJob is the job that stands in the queue after it was added.
type AddedJob struct {
	ID    string
	Fresh bool // false: a Unique one was there already, and this is its id
}

// Job is a row of the queue. All times are the database's; zero means never.
type Job struct {
	NewJob
	Run        int64 // counts the claims: with ID, the name of one run
	State      JobState
	RunAt      time.Time // scheduled time
	RunBy      int       // the site id that ran it last
	Started    time.Time // of the newest run
	Ended      time.Time // of the newest run that ended
	Succeeded  time.Time // end of the newest run without an error
	Attempts   int       // runs since the last one that ended in good order
	Result     string    // of the newest run, one line
	Error      string    // why the newest run failed or was lost
	LeaseUntil time.Time // of a running job
	Cancelling bool      // it is to be cancelled, and its broker has been asked to stop it
}

// Took is how long the newest run lasted; 0 while it runs or when there was none.
func (j Job) Took() time.Duration {
	if j.State == JobRunning || j.Started.IsZero() || j.Ended.Before(j.Started) {
		return 0
	}
	return j.Ended.Sub(j.Started)
}

// JobRun names one run of a job: a run that was lost can be told from the one after it.
type JobRun struct {
	ID  string
	Run int64
}

// JobClaim is a broker's question for work.
type JobClaim struct {
	Member Membership
	Kinds  []string // that the broker can run; others stay for brokers of another version
	Max    int
	// Lease is how long the claim stands without being renewed.
	Lease time.Duration
}

// ClaimedJobs is the answer to a JobClaim.
type ClaimedJobs struct {
	Jobs []Job
	// TakenBack counts the runs of all brokers whose lease had run out.
	TakenBack int
	// Status is the broker's own: a stopped one is given nothing, an unavailable one its heartbeat
	// job first (PG3).
	Status Status
}

// JobRenewal is the answer to a renewal: what is in neither list is renewed.
type JobRenewal struct {
	Lost   []JobRun // no longer the caller's: taken back, or ended
	Cancel []JobRun // renewed, but to be stopped and ended as cancelled
}

// JobEnd is how a run ended.
type JobEnd struct {
	JobRun
	// How is JobFinished, JobAborted (it failed), JobCancelled, or JobPending (the job goes back
	// and is due again After from now). A recurring job that finished or failed goes back by
	// itself, to the next time on its schedule, except when it is to be cancelled.
	How    JobState
	After  time.Duration
	Result string
	Error  string
}

// JobOrder is a column that a list of jobs can be sorted by.
type JobOrder string

// The orders. Rows that are equal in it are sorted by id, which is by age.
const (
	JobsByScheduled JobOrder = "scheduled"
	JobsByKind      JobOrder = "kind"
	JobsByTarget    JobOrder = "target"
	JobsByState     JobOrder = "state"
	JobsBySite      JobOrder = "site"
	JobsByStarted   JobOrder = "started"
)

// JobFilter selects jobs; zero fields select all.
type JobFilter struct {
	ID     string
	States []JobState
	Kinds  []string
	Target string
	// Site selects the jobs that are assigned to that site id or were run by it last.
	Site       int
	Order      JobOrder // default JobsByScheduled
	Descending bool
	// After goes on behind the job with that id, in the same order. Jobs that move meanwhile may come
	// twice or not at all.
	After string
	Limit int // default 100, at most 1000
}

// JobCount is how many jobs of a kind are in a state, and since when the oldest of them is due.
type JobCount struct {
	Kind  string
	State JobState
	Count int
	Due   time.Duration // how long ago the oldest scheduled time was; negative when it is to come
}

// PoolStatistics is one row of a desktop pool's history.
type PoolStatistics struct {
	At          time.Time
	Pool        string // name
	Total       int    // desktops
	Used        int    // claimed by or assigned to a user
	Free        int    // neither used nor in maintenance
	Maintenance int
}

// JobStore is the cluster's job queue (CL6). A claim is a row with a lease: it is lost when it is
// not renewed, whatever became of the broker. No broker's clock counts.
type JobStore interface {
	// AddJobs adds all jobs or none and returns what stands for each in the queue.
	AddJobs(ctx context.Context, jobs []NewJob) ([]AddedJob, error)
	// ClaimJobs makes up to Max due jobs, the longest due first, the caller's. In the same
	// transaction it takes back what other brokers have lost. ErrFenced when the membership is no
	// longer the newest of its site id.
	ClaimJobs(ctx context.Context, q JobClaim) (ClaimedJobs, error)
	// RenewJobs prolongs leases to lease from now. ErrFenced as above.
	RenewJobs(ctx context.Context, m Membership, runs []JobRun, lease time.Duration) (JobRenewal, error)
	// EndJobs records how runs ended and reschedules, all in one transaction, and returns those
	// that were no longer the caller's: nothing was recorded for them. A run whose lease has run
	// out still ends in good order while nobody has taken it back. ErrFenced as above.
	EndJobs(ctx context.Context, m Membership, ends []JobEnd) (lost []JobRun, err error)
	// CancelJob cancels a pending job at once and asks the broker of a running one to stop it; by
	// says who or what did it. For a recurring job it ends the recurrence, until it is added again.
	// It returns the state that the job is in now: JobRunning means that it is being stopped. A
	// cancelled job stays so without an error; other ended ones are ErrConflict.
	CancelJob(ctx context.Context, id, by string) (JobState, error)
	// ReassignJobs gives the pending jobs of a site id, except its heartbeat, to another one or,
	// with 0, to all.
	ReassignJobs(ctx context.Context, from, to int) (int, error)
	// Jobs lists jobs. ErrNotFound when the job that the list is to go on after is gone.
	Jobs(ctx context.Context, f JobFilter) ([]Job, error)
	// JobCounts counts the jobs by kind and state.
	JobCounts(ctx context.Context) ([]JobCount, error)
	// PurgeJobs deletes ended jobs that ended longer than keep ago (JQ3), a bounded number at a
	// time: more says that it should be called again.
	PurgeJobs(ctx context.Context, keep time.Duration) (deleted int, more bool, err error)

	// ReleaseExpired gives the pooled desktops of expired sessions back, a bounded number at a time.
	ReleaseExpired(ctx context.Context) (released int, more bool, err error)
	// RecordPoolStatistics adds one row for each desktop pool and deletes those older than keep.
	RecordPoolStatistics(ctx context.Context, keep time.Duration) (pools int, err error)
	// PoolStatistics lists the rows of a pool, or with "" of all, that are younger than since.
	PoolStatistics(ctx context.Context, pool string, since time.Duration) ([]PoolStatistics, error)
	// RecordLogins counts the logins of each hour out of the log, from the newest hour that was
	// counted on, and deletes the counts that are older than keep.
	RecordLogins(ctx context.Context, keep time.Duration) error
	// BusiestHour is the hour with the most logins among those counted that began within since, the
	// newest of several; zero when there is none.
	BusiestHour(ctx context.Context, since time.Duration) (LoginHour, error)
}

// Check fills in the defaults and refuses what no list can be made of.
func (f JobFilter) Check() (JobFilter, error) {
	f.Order = cmp.Or(f.Order, JobsByScheduled)
	f.Limit = cmp.Or(f.Limit, 100)
	if !slices.Contains([]JobOrder{JobsByScheduled, JobsByKind, JobsByTarget, JobsByState, JobsBySite, JobsByStarted}, f.Order) {
		return f, fmt.Errorf("jobs cannot be sorted by %q", f.Order)
	}
	if f.Limit < 1 || f.Limit > maxJobsListed {
		return f, fmt.Errorf("a list of %d jobs is not possible; ask for 1 to %d", f.Limit, maxJobsListed)
	}
	return f, nil
}

const maxJobsListed = 1000

// Check refuses an end that no run can have.
func (e JobEnd) Check() error {
	if !slices.Contains([]JobState{JobFinished, JobAborted, JobCancelled, JobPending}, e.How) {
		return fmt.Errorf("a run cannot end as %q", e.How)
	}
	return nil
}

// KindsFor are the kinds that a broker of that status may be given (PG3): all, none, or its
// heartbeat alone, which makes it a running one again.
func (q JobClaim) KindsFor(s Status) []string {
	switch {
	case s == StatusRunning:
		return q.Kinds
	case s == StatusUnavailable && slices.Contains(q.Kinds, KindHeartbeat):
		return []string{KindHeartbeat}
	}
	return nil
}

// LostRuns are those of asked that are not in kept.
func LostRuns(asked, kept []JobRun) []JobRun {
	found := make(map[JobRun]bool, len(kept))
	for _, r := range kept {
		found[r] = true
	}
	return slices.DeleteFunc(slices.Clone(asked), func(r JobRun) bool { return found[r] })
}
