package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	meterWindow = time.Minute
	// meterLogins is how many logins a window must have to tell what one costs.
	meterLogins = 20
	// fullHost is the share of a host's CPU time above which waiting grows faster than work gets done.
	fullHost = 0.8
	// tick is that of the kernel's counters (proc(5), USER_HZ).
	tick = 10 * time.Millisecond
)

// served counts logins that were answered, for what one costs.
type served struct {
	logins atomic.Int64
	took   atomic.Int64 // nanoseconds, of all of them together
}

func (s *served) count(took time.Duration) {
	s.logins.Add(1)
	s.took.Add(int64(took))
}

// Beat is what a broker says of itself with each of its beats.
type Beat struct {
	Load HostLoad
	// Carries is how many logins a second it could answer, worked out from those of its last minute
	// that had enough of them; 0: there was none since it started.
	Carries float64
	// Clock is what the broker's own clock shows: nothing is decided by it, but people should know when
	// it is wrong.
	Clock time.Time
}

// reading is one look at host and logins.
type reading struct {
	hostSample
	logins int64
	took   time.Duration
}

// hostMeter looks at the host with each beat, of which there are two kinds: those of the cluster, and the
// questions whether the database is there.
type hostMeter struct {
	served served
	read   func() (hostSample, error)
	now    atomic.Pointer[Beat]

	mu   sync.Mutex
	past []reading // of the last minute, oldest first
}

func newHostMeter() *hostMeter {
	m := &hostMeter{read: readHost}
	m.now.Store(&Beat{})
	m.look()
	return m
}

// look takes another reading, under mu. A host that does not answer has no load.
func (m *hostMeter) look() {
	s, err := m.read()
	if err != nil {
		m.now.Store(&Beat{})
		return
	}
	next := reading{s, m.served.logins.Load(), time.Duration(m.served.took.Load())}
	for len(m.past) > 1 && next.at.Sub(m.past[1].at) >= meterWindow {
		m.past = m.past[1:]
	}
	first := next
	if len(m.past) > 0 {
		first = m.past[0]
	}
	m.past = append(m.past, next)
	b := Beat{Load: between(first.hostSample, next.hostSample), Carries: m.now.Load().Carries}
	m.now.Store(&b)
}

// beat is the newest reading for a broker with so many places for logins.
func (m *hostMeter) beat(places int) Beat {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.look()
	b := *m.now.Load()
	if len(m.past) > 0 {
		if c := carries(m.past[0], m.past[len(m.past)-1], b.Load, places); c > 0 {
			b.Carries = c
			m.now.Store(&b)
		}
	}
	b.Clock = time.Now()
	return b
}

// carries is how many logins a second a broker can answer on this host as it is now, or 0 when there were
// too few of them from a to b to tell. Two things bound it: the CPU time that the host has left for this
// process, at what a login costs (all that the process did counts as the logins', so it is rather too little than
// too much), and the places, each of which is taken for as long as a login lasts.
func carries(a, b reading, l HostLoad, places int) float64 {
	logins := float64(b.logins - a.logins)
	span := b.at.Sub(a.at).Seconds()
	if logins < meterLogins || span <= 0 || l.CPUs == 0 {
		return 0
	}
	own := growth(a.own, b.own) * tick.Seconds() // seconds of CPU
	mean := (b.took - a.took).Seconds() / logins
	left := float64(l.CPUs)*(fullHost-l.Busy-l.Steal) + own/span
	var bound float64
	if own > 0 {
		bound = max(0, left) / (own / logins)
	}
	if mean > 0 && (own == 0 || float64(places)/mean < bound) {
		bound = float64(places) / mean
	}
	// What it did, it could.
	return max(bound, logins/span)
}
