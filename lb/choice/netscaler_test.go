package choice

import (
	"slices"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// TestNetScalerExamples are the vendor's own (docs.netscaler.com, "Least response time method"):
// three services with 3, 7 and 0 requests in flight and 2, 1 and 2 seconds.
func TestNetScalerExamples(t *testing.T) {
	covers.Req(t, "LB2")
	q := poolOf(NetScalerName, 3)
	for i, l := range []Load{{InFlight: 3, OK200: 2 * time.Second}, {InFlight: 7, OK200: time.Second}, {OK200: 2 * time.Second}} {
		l.TTFB = time.Hour // not what counts
		q.Loads[i] = l
	}
	weighed := q
	weighed.Loads, weighed.Weights = slices.Clone(q.Loads), []int{2, 3, 4}

	got := play(&q, 9)
	if got[:3] != "333" {
		t.Errorf("the first three requests went to %s, want 333", got[:3])
	}
	// The fourth and the fifth go to 1 and 3, which tie; 2 gets the sixth. Then all three have
	// N = 8 and get one each, in turns.
	if next := got[3:5]; next != "13" && next != "31" {
		t.Errorf("the next two went to %s, want 13 or 31", next)
	}
	if got[5] != '2' {
		t.Errorf("the sixth went to %c, want 2", got[5])
	}
	if q.Loads[0].InFlight < 4 || q.Loads[2].InFlight < 4 {
		t.Errorf("in the end %s", got)
	}

	// With weights 2, 3 and 4: N x 10000 / weight.
	if got := play(&weighed, 8); got != "33333232" {
		t.Errorf("with weights %s, want 33333232", got)
	}
}

func TestNetScalerStartup(t *testing.T) {
	q := poolOf(NetScalerName, 4)
	q.Loads[2] = Load{InFlight: 50, OK200: time.Second}
	q.Startup = true
	if got := play(&q, 8); got != "23412341" {
		t.Errorf("at start-up %s, want turns", got)
	}
	q.Startup = false
	if got := play(&q, 8); slices.Contains([]byte(got), '3') {
		t.Errorf("after it %s, want the third one to get nothing", got)
	}
}

// TestStartup counts the requests that go by round robin.
func TestStartup(t *testing.T) {
	const second = int64(time.Second)
	var s Startup
	q := poolOf(NetScalerName, 10)
	now := 5 * second
	// next makes a request and gives whether it goes by round robin.
	next := func() bool {
		q.Draw++
		now += second / 20 // 20 requests a second
		for i := range q.Loads {
			if q.Loads[i].Since > 0 {
				q.Loads[i].Since += time.Duration(second / 20)
			}
		}
		s.Observe(&q, now)
		return s.Holds(q.Draw)
	}
	count := func() (n int) {
		for next() {
			n++
		}
		return n
	}
	if n := count(); n != 100 {
		t.Errorf("a new pool: %d requests by round robin, want 100", n)
	}
	for range 400 { // until the rate is known
		if next() {
			t.Fatal("by round robin without a cause")
		}
	}
	q.Loads[3].Since = 1
	if n := count(); n < 195 || n > 205 {
		t.Errorf("a member came up: %d requests, want 20 a second x 10 members", n)
	}
	for range 100 {
		if next() {
			t.Fatal("the same arrival counted twice")
		}
	}
	s.Restart()
	if n := count(); n < 195 || n > 205 {
		t.Errorf("a member was added: %d requests, want 20 a second x 10 members", n)
	}
	q.Loads[3].Since = 0 // it went down
	if next() {
		t.Error("a member that goes down starts it")
	}
	q.Loads[3].Since = 1
	if !next() {
		t.Error("it came up again: not noticed")
	}
}
