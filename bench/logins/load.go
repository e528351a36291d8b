package logins

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// visit is one login to be made.
type visit struct {
	n       int       // counts from 0
	due     time.Time // when it is meant to begin: all times are measured from here
	elapsed func() time.Duration
	sample  *sample
}

// doer makes the login of a visit and fills in its sample. An error says why it failed.
type doer func(ctx context.Context, v visit) error

// drive makes the logins of a task, each at its time, whatever became of those before it (an open
// loop), or one after the other by a number of clients (a closed one), and waits for all answers.
func drive(ctx context.Context, t task, do doer) *tally {
	if t.Clients > 0 {
		return closedLoop(ctx, t, do)
	}
	return openLoop(ctx, t, do)
}

// arrivals gives the times of an open loop.
type arrivals struct {
	rate  float64
	rng   *rand.Rand // nil: even
	until time.Duration
	count int // 0: as many as fit
	n     int
	at    time.Duration
}

func newArrivals(t task) *arrivals {
	a := &arrivals{rate: t.Rate, until: t.For, count: t.Count}
	if t.Poisson {
		a.rng = rand.New(rand.NewPCG(t.Seed, 0x5eed))
	}
	if a.until == 0 {
		a.until = math.MaxInt64
	}
	return a
}

// next is when the next login is due; false when there is none.
func (a *arrivals) next() (time.Duration, bool) {
	if a.count > 0 && a.n >= a.count {
		return 0, false
	}
	if a.rng != nil {
		a.at += time.Duration(a.rng.ExpFloat64() / a.rate * float64(time.Second))
	} else {
		a.at = time.Duration(float64(a.n) / a.rate * float64(time.Second))
	}
	a.n++
	return a.at, a.at < a.until
}

func openLoop(ctx context.Context, t task, do doer) *tally {
	sum := newTally(int(t.Rate*t.For.Seconds()) + t.Count)
	a := newArrivals(t)
	var wg sync.WaitGroup
	// A worker that has been through a handshake has the stack for the next one: it is handed on.
	work := make(chan visit)
	offering, stop := t.offering(ctx)
	defer stop()
	start := time.Now()
	for {
		at, more := a.next()
		if !more || !sleep(offering, time.Until(start.Add(at))) {
			break
		}
		due := start.Add(at)
		v := visit{n: a.n - 1, due: due, sample: &sample{due: at}, elapsed: func() time.Duration { return time.Since(due) }}
		select {
		case work <- v:
		default:
			wg.Go(func() {
				for ok := true; ok; v, ok = <-work {
					sum.make(ctx, v, do)
				}
			})
		}
	}
	close(work)
	wg.Wait()
	return sum
}

// offering ends when no login is to begin any more.
func (t task) offering(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if t.enough == nil {
		return ctx, cancel
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-t.enough:
		case <-ctx.Done():
		}
		cancel()
	})
	return ctx, func() { cancel(); wg.Wait() }
}

func closedLoop(ctx context.Context, t task, do doer) *tally {
	sum := newTally(1 << 14)
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range t.Clients {
		wg.Go(func() {
			for time.Since(start) < t.For && ctx.Err() == nil {
				due := time.Now()
				v := visit{n: int(next.Add(1) - 1), due: due, sample: &sample{due: due.Sub(start)}, elapsed: func() time.Duration { return time.Since(due) }}
				sum.make(ctx, v, do)
			}
		})
	}
	wg.Wait()
	return sum
}

// make makes one login.
func (t *tally) make(ctx context.Context, v visit, do doer) {
	v.sample.late = v.elapsed()
	err := do(ctx, v)
	switch {
	case err != nil:
		v.sample.end = endedFailed
	case v.sample.end == "":
		v.sample.end = endedWell
	}
	if v.sample.login == 0 {
		v.sample.login = v.elapsed()
	}
	v.sample.whole = v.elapsed()
	t.add(*v.sample, err)
}

// sleep returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
