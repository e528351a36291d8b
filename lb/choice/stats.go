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
	minSampleShare = 0.1

	penaltyStep     = 2 * time.Second
	penaltyMax      = 10 * time.Second
	penaltyHalfLife = 5 * time.Second

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
	return max(1, avg+time.Duration(share*float64(sample-avg)))
}

// faded gives what is left of a penalty after age.
func faded(penalty, age time.Duration) time.Duration {
	if penalty <= 0 {
		return 0
	}
	left := time.Duration(float64(penalty) * math.Exp2(-float64(age)/float64(penaltyHalfLife)))
	if left < time.Millisecond {
		return 0
	}
	return left
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
	inFlight atomic.Int64
	ttfb     [MaxClasses]atomic.Int64
	sampled  [MaxClasses]atomic.Int64
	ok200    atomic.Int64
	used     atomic.Int64

	penalty   atomic.Int64
	penalized atomic.Int64
	failures  atomic.Int64 // failed connects in a row
	shunUntil atomic.Int64
	write     sync.Mutex // serialises writers of the pairs
}

// InFlight is the number of requests that are there now.
func (s *Stats) InFlight() int64 { return s.inFlight.Load() }

// Use says that the member came to be at now, or was used then.
func (s *Stats) Use(now int64) { s.used.Store(now) }

// Load gives the member's figures at now for requests of a class.
func (s *Stats) Load(now int64, class Class) Load {
	l := Load{
		InFlight: s.inFlight.Load(),
		TTFB:     time.Duration(s.ttfb[class].Load()),
		OK200:    time.Duration(s.ok200.Load()),
		Idle:     time.Duration(now - s.used.Load()),
	}
	if p := s.penalty.Load(); p > 0 {
		l.Penalty = faded(time.Duration(p), time.Duration(now-s.penalized.Load()))
	}
	l.Shunned = s.failures.Load() > 0 && now < s.shunUntil.Load()
	return l
}

// Begin counts a request in. Where the member was shunned until now, this request is its trial:
// the others go on avoiding it for as long as the trial may take.
func (s *Stats) Begin(now int64, trial time.Duration) {
	s.inFlight.Add(1)
	s.used.Store(now)
	if s.failures.Load() > 0 {
		s.shunUntil.Store(now + int64(trial))
	}
}

// End counts a request out.
func (s *Stats) End(now int64) {
	s.used.Store(now)
	s.inFlight.Add(-1)
}

// Answered records a first byte of an answer with that status, which came after ttfb, and ends
// any shunning. An answer that is a failure (5xx) is not averaged: failing fast must not make a
// member attractive.
func (s *Stats) Answered(now int64, ttfb time.Duration, class Class, status int) {
	if s.failures.Load() != 0 {
		s.failures.Store(0)
	}
	if status >= 500 {
		s.Punish(now)
		return
	}
	s.write.Lock()
	gap := time.Duration(now - s.sampled[class].Load())
	s.ttfb[class].Store(int64(blend(time.Duration(s.ttfb[class].Load()), ttfb, gap)))
	s.sampled[class].Store(now)
	if status == 200 {
		s.ok200.Store(int64(blend(time.Duration(s.ok200.Load()), ttfb, gap)))
	}
	s.write.Unlock()
}

// Unreachable records a failed connect.
func (s *Stats) Unreachable(now int64) {
	s.shunUntil.Store(now + int64(shunFor(s.failures.Add(1))))
	s.Punish(now)
}

// Punish adds to the penalty.
func (s *Stats) Punish(now int64) {
	s.write.Lock()
	defer s.write.Unlock()
	left := faded(time.Duration(s.penalty.Load()), time.Duration(now-s.penalized.Load()))
	s.penalized.Store(now)
	s.penalty.Store(int64(min(penaltyMax, left+penaltyStep)))
}
