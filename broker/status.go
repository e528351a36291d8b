package broker

import (
	"fmt"
	"strconv"
	"time"
)

// Status says whether a broker processes queue jobs (PG3). Whether it serves logins is another
// question, with another answer: NodeStatus.Live.
type Status string

const (
	// StatusRunning means that it processes jobs.
	StatusRunning Status = "running"
	// StatusStopped means that its heartbeat job was cancelled; it processes none. Leaving does that.
	StatusStopped Status = "stopped"
	// StatusUnavailable means that the cluster cannot tell; it processes none.
	StatusUnavailable Status = "unavailable"
)

const (
	// KindHeartbeat is the one recurring job of each broker (CL6).
	KindHeartbeat = "heartbeat"
	// HeartbeatEvery is its interval.
	HeartbeatEvery = 5 * time.Minute
	// MissedLimit is how many heartbeats in a row make a broker unavailable: 15 minutes.
	MissedLimit = 3
	// Liveness is how long a broker may be silent before it counts as dead for logins and
	// hand-over (DC2); it beats every 2 s.
	Liveness = 6 * time.Second
)

// HeartbeatJob is the heartbeat job of the broker with that site id: only it can run it. Adding it
// makes a stopped broker run again.
func HeartbeatJob(siteID int, every time.Duration) NewJob {
	return NewJob{Kind: KindHeartbeat, Target: strconv.Itoa(siteID), For: siteID, Every: every, Unique: true}
}

// Schedule is what the queue knows about a broker's heartbeat job.
type Schedule struct {
	Exists bool // pending or running; a cancelled one does not
	Every  time.Duration
	Next   time.Time // scheduled time of the next run, or of the running one
}

// Judge decides the status at the moment now. A heartbeat is missed when the job could not run: one
// as soon as a whole interval has passed since its scheduled time, three when three have.
func (s Schedule) Judge(now time.Time) (status Status, missed int, reason string) {
	if !s.Exists {
		return StatusStopped, 0, "its heartbeat job was cancelled"
	}
	if late := now.Sub(s.Next); late > 0 && s.Every > 0 {
		missed = int(late / s.Every)
	}
	switch {
	case missed >= MissedLimit:
		return StatusUnavailable, missed, fmt.Sprintf("%d heartbeats missed: the job that was scheduled for %s has not run",
			missed, s.Next.UTC().Format("2006-01-02 15:04:05"))
	case missed > 0:
		return StatusRunning, missed, fmt.Sprintf("%d of %d heartbeats missed", missed, MissedLimit)
	}
	return StatusRunning, 0, "its heartbeat job runs"
}
