package logins

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// TestOpenLoopStall: a server that stalls for a second is seen in all logins that were due
// meanwhile, not only in those under way (no coordinated omission).
func TestOpenLoopStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		stalled := start.Add(time.Second)
		sum := drive(t.Context(), task{Rate: 100, For: 3 * time.Second}, func(_ context.Context, v visit) error {
			if v.due.After(start.Add(time.Second)) && v.due.Before(start.Add(2*time.Second)) {
				time.Sleep(time.Until(stalled.Add(time.Second)))
			}
			time.Sleep(time.Millisecond)
			return nil
		})
		r, err := sum.result(false)
		if err != nil {
			t.Fatal(err)
		}
		if r.Offered != 300 || r.OK != 300 || len(r.Seconds) != 3 {
			t.Fatalf("%+v", r)
		}
		// A third waited, half a second in the mean.
		if r.Login.P50 > 2 || r.Login.P90 < 600 || r.Login.P90 > 750 || r.Login.Max < 990 || r.Lateness > 1 {
			t.Errorf("%+v", r.Login)
		}
		if r.Seconds[0].P99 > 2 || r.Seconds[1].P50 < 450 || r.Seconds[1].P50 > 550 || r.Seconds[1].Due != 100 || r.Seconds[1].Done != 1 || r.Seconds[2].Done != 199 {
			t.Errorf("%+v", r.Seconds)
		}
	})
}

// TestEnough: who is told that it is enough begins no login any more, and waits for those under way.
func TestEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enough := make(chan struct{})
		time.AfterFunc(1005*time.Millisecond, func() { close(enough) })
		sum := drive(t.Context(), task{Rate: 100, For: time.Hour, enough: enough}, func(ctx context.Context, _ visit) error {
			time.Sleep(300 * time.Millisecond)
			return ctx.Err()
		})
		r, err := sum.result(false)
		if err != nil || r.Offered != 101 || r.OK != 101 || r.Took != 1300*time.Millisecond {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestArrivals(t *testing.T) {
	count := func(t task) (n int, last time.Duration) {
		a := newArrivals(t)
		for {
			at, more := a.next()
			if !more {
				return n, last
			}
			n, last = n+1, at
		}
	}
	if n, last := count(task{Rate: 10, For: 2 * time.Second}); n != 20 || last != 1900*time.Millisecond {
		t.Errorf("even: %d, the last at %s", n, last)
	}
	if n, _ := count(task{Rate: 1000, For: 100 * time.Second, Poisson: true, Seed: 3}); n < 98_000 || n > 102_000 {
		t.Errorf("at random: %d", n)
	}
	n, last := count(task{Rate: 100, Count: 1000, Poisson: true, Seed: 4})
	if again, same := count(task{Rate: 100, Count: 1000, Poisson: true, Seed: 4}); n != 1000 || again != n || same != last {
		t.Errorf("a number of them: %d until %s, again %d until %s", n, last, again, same)
	}
}

func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var most, now atomic.Int64
		sum := drive(t.Context(), task{Clients: 4, For: time.Second}, func(context.Context, visit) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(10 * time.Millisecond)
			now.Add(-1)
			return nil
		})
		r, err := sum.result(false)
		if err != nil || r.OK != 400 || most.Load() != 4 || r.rate() < 399 || r.rate() > 401 {
			t.Errorf("%+v, %v, %d at once", r, err, most.Load())
		}
	})
}

// TestInterrupted: what is due after the end of the context is not begun.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := drive(ctx, task{Rate: 10, For: time.Hour}, func(context.Context, visit) error { return nil }).result(false)
		if err != nil || r.Offered < 9 || r.Offered > 11 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestTally(t *testing.T) {
	sum := newTally(0)
	sum.add(sample{due: 0, login: 10 * time.Millisecond, whole: 30 * time.Millisecond, end: endedWell}, nil)
	sum.add(sample{due: 1500 * time.Millisecond, login: 2 * time.Second, whole: 2 * time.Second, end: endedWell, waited: true}, nil)
	sum.add(sample{due: time.Second, login: time.Millisecond, end: endedBusy}, nil)
	sum.add(sample{due: time.Second, end: endedFailed, waited: true}, errors.New("x"))
	sum.add(sample{due: time.Second, end: endedFailed}, errors.New("x"))
	r, err := sum.result(true)
	if err != nil {
		t.Fatal(err)
	}
	if r.Offered != 5 || r.OK != 2 || r.Busy != 1 || r.Failed != 2 || r.Waited != 2 || r.Broken != 1 || r.Errors["x"] != 2 {
		t.Errorf("%+v", r)
	}
	if r.Took != 3500*time.Millisecond || r.rate() < 0.57 || r.rate() > 0.58 || r.Journey.P50 != 30.015 && r.Journey.P50 != 30 {
		t.Errorf("%+v %+v", r, r.Journey)
	}
	if len(r.Seconds) != 4 || r.Seconds[1].Due != 4 || r.Seconds[3].Done != 1 || r.Seconds[1].P50 != 2000 {
		t.Errorf("%+v", r.Seconds)
	}
	if _, err := base64.StdEncoding.DecodeString(r.Login.Histogram); err != nil {
		t.Error(err)
	}
	h, err := hdrhistogram.Decode([]byte(r.Login.Histogram))
	if err != nil || h.TotalCount() != 2 {
		t.Errorf("%v, %v", h, err)
	}
	for i := range 3 * maxKinds {
		sum.add(sample{end: endedFailed}, errors.New(strings.Repeat("y", i+1)))
	}
	if len(sum.errors) != maxKinds+1 || sum.errors["others"] == 0 {
		t.Errorf("%d kinds of errors", len(sum.errors))
	}
}

func TestSearch(t *testing.T) {
	for _, can := range []float64{3, 40, 190, 200, 333, 1000, 2222} {
		s, probes := newSearch(200), 1
		for s.tell(s.next <= can) {
			probes++
		}
		if s.low > can || s.low < can/searchClose || probes > maxProbes {
			t.Errorf("%.0f/s can be done, %.1f found with %d probes", can, s.low, probes)
		}
	}
	s := newSearch(200)
	for s.tell(false) {
		if s.probes > maxProbes {
			t.Fatal("it does not end")
		}
	}
	if s.low != 0 {
		t.Errorf("nothing can be done, %f found", s.low)
	}
}

func TestSustained(t *testing.T) {
	good := Result{Offered: 10, OK: 10, Login: Latency{P99: 399}}
	if why := sustained(&good, 400); why != "" {
		t.Error(why)
	}
	for want, spoil := range map[string]func(*Result){
		"1 of 10 failed": func(r *Result) { r.Failed = 1 }, "refused": func(r *Result) { r.Busy = 1 }, "wait": func(r *Result) { r.Waited = 1 },
		"none": func(r *Result) { r.OK = 0 }, "p99 is 401": func(r *Result) { r.Login.P99 = 401 },
	} {
		bad := good
		spoil(&bad)
		if why := sustained(&bad, 400); !strings.Contains(why, want) {
			t.Errorf("%q, want %q", why, want)
		}
	}
}
