package healthcheck

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNextBaseProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hash := rapid.Uint64().Draw(t, "hash")
		interval := time.Duration(rapid.Int64Range(int64(minInterval), int64(time.Minute)).Draw(t, "interval"))
		now := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "now"))
		last := time.Duration(rapid.Int64Range(0, int64(now)+int64(interval)).Draw(t, "last"))
		got := nextBase(now, last, hash, interval)
		if got <= min(now, last) || got > max(now, last)+interval {
			t.Fatalf("now %v, last %v, interval %v: %v", now, last, interval, got)
		}
		if uint64(got)%uint64(interval) != hash%uint64(interval) {
			t.Fatal("the phase is not stable")
		}
		if again := nextBase(got, got, hash, interval); again != got+interval {
			t.Fatalf("turns are %v apart, not %v", again-got, interval)
		}
	})
}

// Neighbouring addresses, the usual case, must spread over the interval.
func TestPhasesSpread(t *testing.T) {
	const checks, buckets = 10000, 50
	var n [buckets]int
	interval := 5 * time.Second
	for i := range checks {
		k := Key{Address: fmt.Sprintf("10.0.%d.%d:443", i/250, i%250), Monitor: "is_alive"}
		n[k.hash()%uint64(interval)/uint64(interval/buckets)]++
	}
	for b, got := range n {
		if got < checks/buckets/2 || got > checks/buckets*2 {
			t.Errorf("bucket %d has %d of %d checks", b, got, checks)
		}
	}
}

func TestFirstDueIsPrompt(t *testing.T) {
	for _, interval := range []time.Duration{20 * time.Millisecond, 5 * time.Second, time.Hour} {
		d := firstDue(time.Minute, Key{Address: "a:1"}.hash(), interval, spreadOf(10))
		if d < time.Minute || d >= time.Minute+min(interval, time.Second) {
			t.Errorf("interval %v: %v", interval, d)
		}
	}
}

func TestInFlight(t *testing.T) {
	f := func(configured int, descriptors uint64, want int) {
		t.Helper()
		if got := inFlight(configured, descriptors); got != want {
			t.Errorf("inFlight(%d, %d) = %d, want %d", configured, descriptors, got, want)
		}
	}
	f(7, 1<<20, 7)
	f(0, 0, 256)
	f(0, 20, 16)
	f(0, 1024, 256)
	f(0, 20000, 4096)
	f(0, ^uint64(0), 4096)
}
