package healthcheck

import (
	"fmt"
	"time"
)

const (
	lagNoise  = 10 * time.Millisecond  // any scheduler is that late
	lagKept   = 64                     // moments of lag that are remembered
	lagWatch  = 100 * time.Millisecond // the loop looks so often while probes are under way
	lagCalm   = 30 * time.Second       // an overrun is over after so long without one
	leastLag  = 20 * time.Millisecond
	slackPart = 4 // of the time-out
)

// overrun notices that this process runs late: it got no CPU, was stopped, or has too much to
// do. What a probe missed then says nothing of its target, so a time-out does not count
// (haproxy#1902 and envoy#28699 are what happens otherwise). It is guarded by Engine.mu.
type overrun struct {
	lags   [lagKept]lag // a ring
	at     int
	active bool
	last   time.Duration // the newest excused probe
	begun  time.Duration
	count  int // excused since begun
}

// lag is one moment at which the process was late.
type lag struct{ at, late time.Duration }

// note remembers that something that was due happened late.
func (o *overrun) note(now, late time.Duration) {
	if late < lagNoise {
		return
	}
	o.lags[o.at%lagKept] = lag{now, late}
	o.at++
}

// between is how late the process was, in sum, from one moment on. A lag reaches back from the
// moment at which it was seen.
func (o *overrun) between(from, to time.Duration) (sum time.Duration) {
	for i := range o.lags {
		l := &o.lags[i]
		begin, end := max(l.at-l.late, from), min(l.at, to)
		if end > begin {
			sum += end - begin
		}
	}
	return sum
}

// slack is how late the process may be during a probe whose time-out still counts.
func slack(timeout time.Duration) time.Duration { return max(timeout/slackPart, leastLag) }

// excuse says why a time-out does not count; empty when it does. due is when the probe should
// have begun, or was held back for reasons that are not this process's; end is when it ended.
func (o *overrun) excuse(due, end, overshoot, timeout time.Duration) string {
	late := max(o.between(due, end), overshoot)
	if late <= slack(timeout) {
		return ""
	}
	return fmt.Sprintf("not counted, because this process was itself late by %s: ", short(late))
}

// excused notes an excused probe; true when an overrun begins with it.
func (o *overrun) excused(now time.Duration) bool {
	o.last = now
	o.count++
	if o.active {
		return false
	}
	o.active, o.begun, o.count = true, now, 1
	return true
}

// ended says whether the overrun is over; next is when to look again while there is one.
func (o *overrun) ended(now time.Duration) (over bool, next time.Duration) {
	if !o.active {
		return false, 0
	}
	if next = o.last + lagCalm; now < next {
		return false, next
	}
	o.active = false
	return true, 0
}
