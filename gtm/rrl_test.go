package gtm

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"
)

var slowRate = rateLimit{interval: time.Second / 10, slip: 2, exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}

// TestRateLimit: a burst of one second, then the rate; of what is over it, every second answer
// is short and the others are silence.
func TestRateLimit(t *testing.T) {
	l := newLimiter()
	count := func(client string, n int, now time.Duration) (got [3]int) {
		for range n {
			got[l.take(slowRate, netip.MustParseAddr(client), now)]++
		}
		return got
	}
	f := func(what string, got, want [3]int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: pass, slip, drop = %v, want %v", what, got, want)
		}
	}
	f("the burst", count("192.0.2.1", 30, time.Hour), [3]int{10, 10, 10})
	f("the same network", count("192.0.2.255", 2, time.Hour), [3]int{0, 1, 1})
	f("another network", count("192.0.3.1", 1, time.Hour), [3]int{1, 0, 0})
	f("100 ms later", count("192.0.2.1", 3, time.Hour+100*time.Millisecond), [3]int{1, 1, 1})
	f("a second later", count("192.0.2.1", 20, time.Hour+1100*time.Millisecond), [3]int{10, 5, 5})
	f("exempt", count("10.1.2.3", 100, time.Hour), [3]int{100, 0, 0})
	f("IPv6", count("2001:db8:0:1::1", 12, time.Hour), [3]int{10, 1, 1})
	f("the same /56", count("2001:db8:0:ff::", 2, time.Hour), [3]int{0, 1, 1})
	f("another /56", count("2001:db8:0:100::", 2, time.Hour), [3]int{2, 0, 0})

	var none *limiter
	if none.take(slowRate, testClient, 0) != verdictPass || l.take(rateLimit{}, netip.MustParseAddr("192.0.2.1"), time.Hour) != verdictPass {
		t.Error("no limiter, or a limit that is off, did not pass")
	}
}

// TestRateLimitUnderForgedNetworks: a flood from a million forged networks does not make the
// limiter forget the one that is being limited, and its memory is the same as before.
func TestRateLimitUnderForgedNetworks(t *testing.T) {
	l := newLimiter()
	victim := netip.MustParseAddr("192.0.2.1")
	for l.take(slowRate, victim, 0) == verdictPass {
	}
	var a [4]byte
	passed := 0
	for i := range uint32(1_000_000) {
		binary.BigEndian.PutUint32(a[:], 0x10000000+i<<8)
		l.take(slowRate, netip.AddrFrom4(a), 0)
		if i%1000 == 0 && l.take(slowRate, victim, 0) == verdictPass {
			passed++
		}
	}
	if passed > 0 {
		t.Errorf("%d of 1000 answers to the limited network passed", passed)
	}
}

func TestRateLimitAllocatesNothing(t *testing.T) {
	l := newLimiter()
	six := netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(1000, func() { l.take(slowRate, testClient, 0); l.take(slowRate, six, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestRateLimitConcurrently: the readers of all sockets share one account of a network.
func TestRateLimitConcurrently(t *testing.T) {
	l := newLimiter()
	var passed [4]int
	var wg sync.WaitGroup
	for g := range passed {
		wg.Go(func() {
			for range 1000 {
				if l.take(slowRate, testClient, time.Hour) == verdictPass {
					passed[g]++
				}
			}
		})
	}
	wg.Wait()
	if sum := passed[0] + passed[1] + passed[2] + passed[3]; sum != 10 {
		t.Errorf("%d passed, want 10", sum)
	}
}
