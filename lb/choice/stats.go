package choice

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// averageHalfLife is the time after which an old average counts half beside a new sample.
	averageHalfLife = 5 * time.Second
	// minSampleShare is what one sample counts at least, however quickly they follow.
	minSampleShare = 0.05
	// outlier bounds how many times the average one sample may count: a single request that hung
	// until its time-out says little of the next one.
	outlier = 10

	// failureShare is what one failure counts.
	failureShare = 0.1
	// failureHalfLife is how fast failures are forgotten while nothing new is known.
	failureHalfLife = 10 * time.Second

	shunFirst = time.Second
	shunMax   = 10 * time.Second
)

// blend gives the average after one more sample that came gap after the one before. Weighting
// by time keeps the memory equally long for busy and for quiet members.
func blend(avg, sample, gap time.Duration) time.Duration {
	if avg <= 0 {
		return max(1, sample)
	}
	share := max(minSampleShare, 1-math.Exp2(-float64(gap)/float64(averageHalfLife)))
	sample = min(sample, outlier*max(avg, costFloor))
	return max(1, avg+time.Duration(share*float64(sample-avg)))
}

// shunFor is how long a member is avoided after its n-th failed connect in a row.
func shunFor(n int64) time.Duration {
	if n < 1 {
		return 0
	}
	return min(shunMax, shunFirst<<min(n-1, 10))
}

// Stats is what one member's traffic has shown. Times are nanoseconds since the proxy's start.
// Readers are lock-free; the two parts of a pair may be one update apart, which a decision by
// estimate can bear.
type Stats struct {
	classes [MaxClasses]classStats
	ok200   windowMean

	failing   atomic.Uint64 // bits of a float64: the part that failed, as of failedAt
	failedAt  atomic.Int64
	refused   atomic.Int64 // failed connects in a row
	shunUntil atomic.Int64
	write     sync.Mutex // serialises writers of the pairs
}

type classStats struct {
	inFlight atomic.Int64
	ttfb     atomic.Int64
	sampled  atomic.Int64
	used     atomic.Int64
}

// InFlight is the number of requests that are there now.
func (s *Stats) InFlight() int64 {
	n := int64(0)
	for i := range s.classes {
		n += s.classes[i].inFlight.Load()
	}
	return n
}

// Use says that the member came to be at now, or was used then.
func (s *Stats) Use(now int64) {
	for i := range s.classes {
		s.classes[i].used.Store(now)
	}
}

// Load gives the member's figures at now for requests of a class.
func (s *Stats) Load(now int64, class Class) Load {
	l := Load{
		OK200: s.ok200.mean(),
		Idle:  time.Duration(now - s.classes[class].used.Load()),
	}
	for i := range s.classes {
		c := ClassLoad{s.classes[i].inFlight.Load(), time.Duration(s.classes[i].ttfb.Load())}
		l.InFlight += c.InFlight
		if Class(i) == class { // #nosec G115 -- MaxClasses is small
			l.TTFB = c.TTFB
		} else {
			l.Classes[i] = c
		}
	}
	if bits := s.failing.Load(); bits != 0 {
		l.Failing = faded(math.Float64frombits(bits), time.Duration(now-s.failedAt.Load()))
	}
	l.Shunned = s.refused.Load() > 0 && now < s.shunUntil.Load()
	return l
}

// Begin counts a request in. Where the member was shunned until now, this request is its trial:
// the others go on avoiding it for as long as the trial may take.
func (s *Stats) Begin(now int64, class Class, trial time.Duration) {
	c := &s.classes[class]
	c.inFlight.Add(1)
	c.used.Store(now)
	if s.refused.Load() > 0 {
		s.shunUntil.Store(now + int64(trial))
	}
}

// End counts a request of a class out.
func (s *Stats) End(now int64, class Class) {
	c := &s.classes[class]
	c.used.Store(now)
	c.inFlight.Add(-1)
}

// Answered records a first byte of an answer with that status, which came after ttfb, and ends
// any shunning. Status 0 is a tcp connection that was made. An answer that is a failure (5xx) or a
// refusal (4xx) is not averaged: failing fast must not make a member attractive.
func (s *Stats) Answered(now int64, ttfb time.Duration, class Class, status int) {
	if s.refused.Load() != 0 {
		s.refused.Store(0)
	}
	if status >= 500 {
		s.Punish(now)
		return
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.judge(now, 0)
	if status >= 400 {
		return
	}
	s.classes[class].average(now, ttfb)
	if status == 200 || status == 0 {
		s.ok200.add(now, ttfb)
	}
}

// TimedOut records a request without an answer in the time that it may take: the member is at
// least that slow.
func (s *Stats) TimedOut(now int64, waited time.Duration, class Class) {
	s.write.Lock()
	defer s.write.Unlock()
	s.judge(now, 1)
	s.classes[class].average(now, waited)
}

func (c *classStats) average(now int64, ttfb time.Duration) {
	gap := time.Duration(now - c.sampled.Load())
	c.ttfb.Store(int64(blend(time.Duration(c.ttfb.Load()), ttfb, gap)))
	c.sampled.Store(now)
}

// Unreachable records a failed connect.
func (s *Stats) Unreachable(now int64) {
	s.shunUntil.Store(now + int64(shunFor(s.refused.Add(1))))
	s.Punish(now)
}

// Punish records a failure.
func (s *Stats) Punish(now int64) {
	s.write.Lock()
	s.judge(now, 1)
	s.write.Unlock()
}

// judge takes one more outcome into the part that failed: 1 is a failure, 0 none.
func (s *Stats) judge(now int64, outcome float64) {
	bits := s.failing.Load()
	if bits == 0 && outcome == 0 {
		return // nearly always
	}
	f := faded(math.Float64frombits(bits), time.Duration(now-s.failedAt.Load()))
	f += failureShare * (outcome - f)
	if f < failureLeast {
		f = 0
	}
	s.failedAt.Store(now)
	s.failing.Store(math.Float64bits(f))
}

// failureLeast is what counts as no failures at all.
const failureLeast = 1e-3

// faded gives what is left of the part that failed after age.
func faded(failing float64, age time.Duration) float64 {
	left := failing * math.Exp2(-float64(max(0, age))/float64(failureHalfLife))
	if left < failureLeast {
		return 0
	}
	return left
}

// windowMean is a mean over intervals of netScalerRefresh: the last one that is complete counts.
// Writers come one at a time.
type windowMean struct {
	published atomic.Int64
	opened    int64
	sum       time.Duration
	n         int64
}

func (w *windowMean) mean() time.Duration { return time.Duration(w.published.Load()) }

func (w *windowMean) add(now int64, v time.Duration) {
	if now-w.opened >= int64(netScalerRefresh) {
		if w.n > 0 {
			w.published.Store(int64(w.sum) / w.n)
		}
		w.opened, w.sum, w.n = now, 0, 0
	}
	w.sum += v
	w.n++
}
