package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const msec = int64(time.Millisecond)

func made(t *testing.T, name string, servers int) rule {
	t.Helper()
	return ruleNamed(t, name).make(newMembers(servers, 1, rand.New(rand.NewPCG(1, 2))))
}

// answers lets a server answer n requests at now.
func answers(r rule, now int64, server, n int, took int64, status int) {
	for range n {
		met := r.sent(now, server)
		r.ended(now, server, end{status: status, took: took, met: met, served: took})
	}
}

// picks sends n requests and says where they went.
func picks(r rule, now int64, n int) []int {
	var got []int
	for range n {
		i := r.pick(now, 0)
		r.sent(now, i)
		got = append(got, i)
	}
	return got
}

// shares counts where n requests would go, one at a time.
func shares(r rule, now int64, servers, n int) []int {
	got := make([]int, servers)
	for range n {
		i := r.pick(now, 0)
		got[i]++
		met := r.sent(now, i)
		r.ended(now, i, end{status: 200, took: 10 * msec, met: met, served: 10 * msec})
	}
	return got
}

// TestNetScalerExample is the worked example of the vendor: three services with 3, 7 and 0 active
// transactions and TTFBs of 2, 1 and 2 s.
func TestNetScalerExample(t *testing.T) {
	r := made(t, "netscaler", 3)
	now := int64(0)
	for range netScalerStartup {
		r.pick(now, 0)
	}
	for i, took := range []int64{2000, 1000, 2000} {
		answers(r, now, i, 1, took*msec, 200)
	}
	now += int64(netScalerEvery)
	r.pick(now, 0) // takes the figures in
	for i, n := range []int{3, 7, 0} {
		for range n {
			r.sent(now, i)
		}
	}
	got := picks(r, now, 5)
	first, tie := got[:3], got[3:]
	if !slices.Equal(first, []int{2, 2, 2}) || slices.Contains(tie, 1) || tie[0] == tie[1] {
		t.Errorf("S3, S3, S3, then S1 and S3 in turn; not %v", got)
	}
}

// TestNetScalerMeasures200Only: a service that fails at once is always idle, and takes everything.
func TestNetScalerMeasures200Only(t *testing.T) {
	r := made(t, "netscaler", 2)
	answers(r, 0, 0, 50, 20*msec, 200)
	answers(r, 0, 1, 50, 20*msec, 200)
	answers(r, 0, 1, 500, 0, 500)
	now := int64(netScalerEvery)
	shares(r, now, 2, netScalerStartup)
	r.sent(now, 0)
	for range 20 {
		if i := r.pick(now, 0); i != 1 {
			t.Fatal("one active request at the good service, none at the other, and the good one is chosen")
		}
		answers(r, now, 1, 1, 0, 500)
	}
}

// TestNetScalerStartsAgain: a service that comes up is met with turns for a while.
func TestNetScalerStartsAgain(t *testing.T) {
	r := made(t, "netscaler", 2)
	r.health(0, 1, false)
	now := int64(0)
	for range 7000 {
		now += msec
		if r.pick(now, 0) != 0 {
			t.Fatal("a service that is down is chosen")
		}
	}
	now += msec
	r.pick(now, 0) // 1000 a second
	r.health(now, 1, true)
	for range 40 {
		r.sent(now, 0)
	}
	got := [2]int{}
	for range 2000 {
		got[r.pick(now, 0)]++
	}
	if got[0] < 950 || got[1] < 950 {
		t.Errorf("2000 requests in turns: %v", got)
	}
}

func TestNginxClusters(t *testing.T) {
	r := made(t, "nginx", 3)
	answers(r, 0, 0, 200, 19*msec, 200)
	answers(r, 0, 1, 200, 3*msec, 200)
	answers(r, 0, 2, 200, 25*msec, 200)
	if got := shares(r, 0, 3, 2); got[0] != 1 || got[1] != 1 {
		t.Errorf("19 and 3 ms are of one cluster, 25 of the next: %v", got)
	}
	r.sent(0, 0)
	r.sent(0, 1)
	if i := r.pick(0, 0); i != 2 { // 2 x 20 ties with 1 x 40, and it has had no turn
		t.Errorf("40 ms ties with 2 x 20, and it is the turn of the idle one, not of %d", i)
	}
	// A server without requests gets cheaper by half in each fail_timeout, and is tried again.
	answers(r, 0, 2, 300, 90*msec, 200)
	if i := r.pick(0, 0); i == 2 {
		t.Error("100 ms is cheaper than 2 x 20")
	}
	if i := r.pick(int64(40*time.Second), 0); i != 2 {
		t.Errorf("after 40 s without requests the slow one is not tried: %d", i)
	}
}

// TestTraefikStarves: Traefik's means do not age (its issue 12306).
func TestTraefikStarves(t *testing.T) {
	r := made(t, "traefik", 2)
	answers(r, 0, 0, 100, 2000*msec, 200)
	answers(r, 0, 1, 100, 10*msec, 200)
	if got := shares(r, int64(time.Hour), 2, 1000); got[0] != 0 {
		t.Errorf("after an hour it is asked again: %v", got)
	}
	answers(r, 0, 0, 100, 10*msec, 200)
	if got := shares(r, 0, 2, 1000); got[0] < 490 || got[0] > 510 {
		t.Errorf("equal scores in turns: %v", got)
	}
}

func TestLeastConnTurns(t *testing.T) {
	r := made(t, "haproxy", 3)
	got := picks(r, 0, 6)
	for i, want := range []int{0, 1, 2, 0, 1, 2} {
		if got[i] != want {
			t.Fatalf("picks %v", got)
		}
	}
	r.ended(0, 1, end{status: 200})
	if i := r.pick(0, 0); i != 1 {
		t.Errorf("%d has not the fewest", i)
	}
}

// TestPeakEWMA: up at once, down by and by.
func TestPeakEWMA(t *testing.T) {
	r := made(t, "peak-ewma", 2)
	for range 50 {
		answers(r, 0, 0, 1, 10*msec, 200)
		answers(r, 0, 1, 1, 10*msec, 200)
	}
	answers(r, 0, 0, 1, 1000*msec, 200)
	r.sent(0, 1)
	for range 90 {
		if r.pick(0, 0) != 1 {
			t.Fatal("a peak of 100 times the time is worth 98 requests")
		}
		r.sent(0, 1)
	}
	for range 20 {
		r.sent(0, 1)
	}
	if r.pick(0, 0) != 0 {
		t.Error("110 requests are dearer than the peak")
	}
	// 1000, looked at after tau, then 100 after 2 tau: 1000 e^-2 + 100 (1 - e^-1).
	n := &ewmaNode{}
	n.observe(0, 1000)
	n.observe(int64(ewmaTau), 0)
	n.observe(2*int64(ewmaTau), 100)
	if got, want := n.cost*math.Exp(-2), 1000*math.Exp(-2)+100*(1-math.Exp(-1)); math.Abs(got-want) > 1e-6 {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestPenalty(t *testing.T) {
	for name, want := range map[string]bool{"p2c-peak-ewma": false, "p2c-peak-ewma-penalty": true, "hcl": true} {
		r := made(t, name, 2)
		answers(r, 0, 0, 100, 20*msec, 200)
		answers(r, 0, 1, 100, 20*msec, 200)
		answers(r, 0, 1, 10, 0, 500)
		r.sent(0, 0)
		if avoids := r.pick(0, 0) == 0; avoids != want {
			t.Errorf("%s avoids a server that failed: %v", name, avoids)
		}
	}
}

// TestHCL: cold before hot, quick before slow among the cold.
func TestHCL(t *testing.T) {
	r := made(t, "hcl", 5)
	for i, took := range []int64{50, 40, 30, 20, 10} {
		answers(r, 0, i, 100, took*msec, 200)
	}
	if i := r.pick(0, 0); i != 4 {
		t.Errorf("%d is not the quickest", i)
	}
	for range 9 {
		r.sent(0, 4)
	}
	for range 5 {
		r.sent(0, 3)
	}
	// In flight are 0 0 0 5 9: the 0.84 quantile is the largest of five, so nothing is hot.
	if i := r.pick(0, 0); i != 4 {
		t.Errorf("%d: the quickest is not hot yet", i)
	}
	ten := made(t, "hcl", 10)
	for i := range 10 {
		answers(ten, 0, i, 100, int64(100-i)*msec, 200)
	}
	ten.sent(0, 9)
	for range 40 {
		if ten.pick(0, 0) == 9 {
			t.Fatal("the one with more requests than 0.84 of all is hot, whatever its time")
		}
	}
}

// TestC3 compares with the formula by hand: 8 requests in flight at 10 ms, none at 40 ms.
func TestC3(t *testing.T) {
	r := made(t, "c3", 2)
	answers(r, 0, 0, 30, 10*msec, 200)
	answers(r, 0, 1, 30, 40*msec, 200)
	r.sent(0, 0) // 8 x 10 ms against 1 x 40 ms
	if i := r.pick(0, 0); i != 1 {
		t.Errorf("q^3 / mu: %d", i)
	}
}

// TestHealth: no rule chooses a server that is down.
func TestHealth(t *testing.T) {
	for _, m := range rules() {
		r := made(t, m.name, 4)
		r.health(0, 2, false)
		r.health(0, 2, false)
		for k := range 500 {
			if i := r.pick(int64(k)*msec, 0); i == 2 {
				t.Fatalf("%s chooses a server that is down", m.name)
			} else if k%2 == 0 {
				answers(r, int64(k)*msec, i, 1, 10*msec, 200)
			} else {
				r.sent(int64(k)*msec, i)
			}
		}
		r.health(int64(time.Second), 2, true)
		found := false
		for k := range 5000 {
			at := int64(time.Second) + int64(k)*msec
			i := r.pick(at, 0)
			found = found || i == 2
			answers(r, at, i, 1, 10*msec, 200)
		}
		if !found {
			t.Errorf("%s never asks a server that came back", m.name)
		}
	}
}
