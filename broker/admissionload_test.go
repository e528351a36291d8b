package broker

import (
	"fmt"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// simulation is what came of offering logins to a queue before a directory that answers so many a second.
type simulation struct {
	offered, served, busy, late, deadline int
	servedUnderLoad                       int // in the last three minutes of it
	slowest                               time.Duration
	crowdedAt, calmAt                     time.Duration // first time that it was, and last time that it became calm
	lowAt                                 time.Duration // when the depth fell below a quarter, for good
}

// simulate offers logins of 250 sources for as long as loaded says; the directory gives so many answers a
// second, to whoever is longest in work.
func simulate(t *testing.T, places int, lasts, loaded time.Duration, offered func(time.Duration) float64, perSecond func(time.Duration) float64) simulation {
	q := newQueue(places, modelDeadline)
	begin := time.Unix(1_000_000, 0)
	var s simulation
	var work []*turn
	const step = 10 * time.Millisecond
	due, answers, was := 0.0, 0.0, false
	for at := time.Duration(0); at < lasts; at += step {
		now := begin.Add(at)
		if at < loaded {
			for due += offered(at) * step.Seconds(); due >= 1; due-- {
				one := &turn{source: sourceNumber(s.offered % 250), arrived: now, deadline: now.Add(modelDeadline)}
				if s.offered++; q.arrive(now, one).start {
					work = append(work, one)
				}
			}
		}
		for answers += perSecond(at) * step.Seconds(); answers >= 1; answers-- {
			if len(work) == 0 {
				answers = 0
				break
			}
			s.serve(now.Sub(work[0].arrived), at < loaded && at >= loaded-3*time.Minute)
			if next := q.done(now, work[0]); next != nil {
				work = append(work, next)
			}
			work = work[1:]
		}
		q.expire(now)
		for _, l := range q.takeLosses() {
			if l.why == lossDeadline {
				s.deadline++
			} else {
				s.busy++
			}
		}
		if q.crowded && s.crowdedAt == 0 {
			s.crowdedAt = at
		}
		if was && !q.crowded {
			s.calmAt = at
		}
		if q.waiting*4 > q.limit(now) {
			s.lowAt = at
		}
		was = q.crowded
	}
	if q.waiting+len(work) > 0 || s.served+s.busy+s.deadline != s.offered {
		t.Fatalf("%d still wait, %d are in work: %+v", q.waiting, len(work), s)
	}
	return s
}

func (s *simulation) serve(took time.Duration, underLoad bool) {
	s.served++
	s.slowest = max(s.slowest, took)
	if took > modelDeadline {
		s.late++
	}
	if underLoad {
		s.servedUnderLoad++
	}
}

// TestQueueOverload offers 300 logins a second for three minutes to a directory that was fast and now
// answers 100 a second (LG1): none is answered late, nearly all of what the directory can do is done for
// logins that are answered, and few wait in vain.
func TestQueueOverload(t *testing.T) {
	covers.Req(t, "LG1")
	for _, places := range []int{16, 64} {
		t.Run(fmt.Sprint(places), func(t *testing.T) {
			s := simulate(t, places, 6*time.Minute, 4*time.Minute, func(time.Duration) float64 { return 300 },
				func(at time.Duration) float64 {
					if at < time.Minute {
						return 1000
					}
					return 100
				})
			t.Logf("%+v", s)
			switch {
			case s.late > 0 || s.slowest > modelDeadline:
				t.Errorf("%d were answered late, the slowest after %s", s.late, s.slowest)
			case s.servedUnderLoad < 3*60*100*95/100:
				t.Errorf("%d were answered in 3 min while the directory was slow", s.servedUnderLoad)
			case s.deadline*20 > s.served:
				t.Errorf("%d of %d waited in vain", s.deadline, s.served)
			case s.crowdedAt < time.Minute || s.calmAt <= s.crowdedAt || s.calmAt-s.lowAt > 5*time.Second:
				t.Errorf("is_alive: 503 at %s, 200 at %s, low at %s", s.crowdedAt, s.calmAt, s.lowAt)
			}
		})
	}
}

// TestQueueStorm: ten thousand in a minute, from cold, at a directory that answers 110 a second: all get
// in, and none late.
func TestQueueStorm(t *testing.T) {
	s := simulate(t, 64, 4*time.Minute, time.Minute, func(time.Duration) float64 { return 10_000.0 / 60 }, func(time.Duration) float64 { return 110 })
	t.Logf("%+v", s)
	if s.served != s.offered || s.offered < 9_990 || s.slowest > modelDeadline {
		t.Errorf("%d of %d were answered, the slowest after %s", s.served, s.offered, s.slowest)
	}
}
