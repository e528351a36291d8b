package broker

import "time"

// JobAgain is the error of a job's handler that wants another run instead, for instance because what it
// waits for has not happened yet.
type JobAgain struct {
	After time.Duration
	Why   string // the result of this run
}

func (a *JobAgain) Error() string { return a.Why }
