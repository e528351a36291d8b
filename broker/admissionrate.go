package broker

import (
	"math"
	"time"
)

// serviceRate measures how many logins a second leave their places while others wait for one. That is
// what the broker, its directories and its database can do together; with nobody waiting, completions
// only tell how many have come.
type serviceRate struct {
	memory time.Duration // how long a measurement weighs
	window time.Duration // what completions are counted over

	perSecond float64
	work      time.Duration // mean time in a place, of all logins
	worked    bool          // there was one
	busy      bool          // logins wait
	from      time.Time     // of the window under way
	completed int           // in it
}

// newServiceRate starts with one login a second and place: few enough for a directory that does a
// bind in a second, and corrected with the first logins.
func newServiceRate(places int, deadline time.Duration) serviceRate {
	return serviceRate{memory: deadline / 12, window: deadline / 240, perSecond: float64(places)}
}

// begin is told that logins wait from now on. What was measured when they last did may be long ago, so
// the mean time in a place counts too: with all places taken, places / mean is the rate.
func (r *serviceRate) begin(now time.Time, places int) {
	r.busy, r.from, r.completed = true, now, 0
	if r.worked {
		r.perSecond = max(r.perSecond, float64(places)/max(r.work, time.Microsecond).Seconds())
	}
}

// end is told that no login waits any more.
func (r *serviceRate) end(now time.Time) {
	r.close(now)
	r.busy = false
}

// done counts a login that has left its place after took.
func (r *serviceRate) done(took time.Duration) {
	if r.busy {
		r.completed++
	}
	if !r.worked {
		r.work, r.worked = took, true
		return
	}
	r.work += (took - r.work) / 16
}

// at is the rate now; time without any completion counts.
func (r *serviceRate) at(now time.Time) float64 {
	if r.busy && now.Sub(r.from) >= r.window {
		r.close(now)
	}
	return r.perSecond
}

// close ends the window and weighs it by its length.
func (r *serviceRate) close(now time.Time) {
	lasted := now.Sub(r.from)
	if lasted <= 0 {
		return
	}
	weight := 1 - math.Exp(-float64(lasted)/float64(r.memory))
	r.perSecond += (float64(r.completed)/lasted.Seconds() - r.perSecond) * weight
	r.from, r.completed = now, 0
}
