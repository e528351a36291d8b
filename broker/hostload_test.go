package broker

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

func TestParseStat(t *testing.T) {
	const text = "cpu  100 10 30 800 40 5 5 10 3 0\ncpu0 50 5 15 400 20 2 3 5 1 0\ncpu1 50 5 15 400 20 3 2 5 2 0\nintr 1 2 3\n"
	s, err := parseStat(text)
	if want := (hostSample{cpus: 2, total: 1000, idle: 840, steal: 10}); err != nil || s != want {
		t.Errorf("got %+v, %v; want %+v", s, err, want)
	}
	for _, bad := range []string{"", "intr 1\n", "cpu 1 2 3\n", "cpu a b c d e f g h\ncpu0\n", "cpu0 1 2 3 4 5 6 7 8\n"} {
		if s, err := parseStat(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, s)
		}
	}
	own := "12 (a name) with) 3) S" + strings.Repeat(" 0", 10) + " 70 30 9 9\n"
	if n, err := parseOwnStat(own); err != nil || n != 100 {
		t.Errorf("%d ticks, %v", n, err)
	}
	for _, bad := range []string{"", "12 (x) S 1", "12 (x) S" + strings.Repeat(" x", 20)} {
		if n, err := parseOwnStat(bad); err == nil {
			t.Errorf("%q was read as %d", bad, n)
		}
	}
}

func TestHostLoadBetween(t *testing.T) {
	a := hostSample{total: 1000, idle: 800, steal: 10}
	for _, c := range []struct {
		name        string
		b           hostSample
		busy, steal float64
	}{
		{"half busy, a tenth stolen", hostSample{total: 2000, idle: 1200, steal: 110}, 0.5, 0.1},
		{"idle", hostSample{total: 2000, idle: 1800, steal: 10}, 0, 0},
		{"all stolen", hostSample{total: 2000, idle: 800, steal: 1010}, 0, 1},
		{"no time has passed", a, 0, 0},
		{"counters that went back a little", hostSample{total: 1010, idle: 799, steal: 9}, 1, 0},
	} {
		if l := between(a, c.b); math.Abs(l.Busy-c.busy) > 1e-9 || math.Abs(l.Steal-c.steal) > 1e-9 {
			t.Errorf("%s: %+v", c.name, l)
		}
	}
}

// TestReadHost: this machine says how busy it is, and work shows.
func TestReadHost(t *testing.T) {
	covers.Req(t, "OP2")
	m := newHostMeter()
	first := m.past[0]
	for deadline := time.Now().Add(30 * time.Second); ; {
		for begin := time.Now(); time.Since(begin) < 50*time.Millisecond; { // work
		}
		b := m.beat(10)
		last := m.past[len(m.past)-1]
		if last.own > first.own && b.Load.Busy > 0 {
			if b.Load.CPUs < 1 || b.Load.Busy > 1 || b.Load.Steal < 0 || b.Load.Steal > 1 || b.Load.String() == "" || b.Carries != 0 {
				t.Errorf("%+v", b)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a busy host shows %+v", b)
		}
	}
	if one, other := hostID(), hostID(); one == "" || one != other {
		t.Errorf("host %q, then %q", one, other)
	}
	if v, err := LoadAverage(); err != nil || v < 0 {
		t.Errorf("load average %v, %v", v, err)
	}
	if (HostLoad{}).String() != "" {
		t.Error("a host that does not say has a text")
	}
}

// TestHostMeterWindow: what counts is the last minute, and what a broker can carry is kept when its logins cease.
func TestHostMeterWindow(t *testing.T) {
	now, total, idle := time.Unix(1_000_000, 0), uint64(0), uint64(0)
	busy := false
	m := &hostMeter{read: func() (hostSample, error) {
		return hostSample{at: now, cpus: 2, total: total, idle: idle, own: total - idle}, nil
	}}
	m.now.Store(&Beat{})
	step := func(logins int) Beat {
		now = now.Add(2 * time.Second)
		total += 400
		if !busy {
			idle += 400
		} else {
			idle += 200
		}
		for range logins {
			m.served.count(10 * time.Millisecond)
		}
		return m.beat(64)
	}
	for range 100 {
		step(0)
	}
	if n := len(m.past); n < 30 || n > 32 {
		t.Errorf("%d readings are kept for a minute of beats", n)
	}
	busy = true
	var b Beat
	for range 40 {
		b = step(10)
	}
	// 5 logins a second take one of two processors: 0.6 more of one are left below 80 %.
	if math.Abs(b.Load.Busy-0.5) > 0.01 || math.Abs(b.Carries-8) > 0.1 {
		t.Errorf("under load: %+v", b)
	}
	busy = false
	for range 40 {
		b = step(0)
	}
	if b.Load.Busy != 0 || b.Carries == 0 {
		t.Errorf("after it: %+v", b)
	}
}

func TestCarries(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	minute := func(logins int64, cpu, took time.Duration) reading {
		return reading{hostSample{at: at.Add(time.Minute), own: uint64(cpu / tick)}, logins, took}
	}
	zero := reading{hostSample: hostSample{at: at}}
	for _, c := range []struct {
		name   string
		to     reading
		load   HostLoad
		places int
		want   float64
	}{
		{"too few logins to tell", minute(19, time.Second, time.Second), HostLoad{CPUs: 2}, 64, 0},
		{"a host that does not say", minute(600, time.Minute, time.Minute), HostLoad{}, 64, 0},
		{"the processors bound it", minute(600, 6*time.Second, 6*time.Second), HostLoad{CPUs: 2, Busy: 0.05}, 64, 160},
		{"others use them", minute(600, 6*time.Second, 6*time.Second), HostLoad{CPUs: 2, Busy: 0.55}, 64, 60},
		{"the hypervisor takes them", minute(600, 6*time.Second, 6*time.Second), HostLoad{CPUs: 2, Busy: 0.05, Steal: 0.5}, 64, 60},
		{"its places bound it: a slow directory", minute(600, 6*time.Second, 1200*time.Second), HostLoad{CPUs: 2, Busy: 0.05}, 64, 32},
		{"what it did, it could", minute(6000, time.Minute, time.Minute), HostLoad{CPUs: 1, Busy: 1}, 64, 100},
	} {
		if got := carries(zero, c.to, c.load, c.places); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s: %v/s, want %v", c.name, got, c.want)
		}
	}
}

// TestHostMeterTwoKindsOfBeats: the beats of the cluster and the questions of an outage come from two
// goroutines.
func TestHostMeterTwoKindsOfBeats(t *testing.T) {
	m := newHostMeter()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 50 {
				m.beat(4)
			}
		})
	}
	wg.Wait()
	if n := len(m.past); n != 101 {
		t.Errorf("%d readings of 101 within a second", n)
	}
}
