package directory

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = 5 * time.Second
	// patience is how many operations in a row may fail on the last server that is not open.
	patience = 3
)

// errNotAsked is the state of a server before its first answer.
var errNotAsked = errors.New("not asked yet")

// breaker remembers how one server answers, so that one that is dead costs its time-out once and
// not with every login. See the diagram in doc.go.
type breaker struct {
	trial time.Duration // how long a trial may take: others are kept away meanwhile

	mu       sync.Mutex
	failures int       // in a row
	opened   int       // times in a row that it opened; 0: closed
	until    time.Time // end of the back-off, or of the trial, while open
	trying   bool      // a trial is under way, while open
	err      error     // nil after an answer
}

func newBreaker(trial time.Duration) *breaker { return &breaker{trial: trial, err: errNotAsked} }

// blocks says whether allow would refuse, without being a trial.
func (b *breaker) blocks(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened > 0 && now.Before(b.until)
}

// allow says whether an operation may use the server now. While open, it lets one through each
// time that the back-off has ended; that one is a trial.
func (b *breaker) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened == 0 {
		return true
	}
	if now.Before(b.until) {
		return false
	}
	b.until, b.trying = now.Add(b.trial), true
	return true
}

// probe announces an operation that does not ask allow: the watcher's, always a trial.
func (b *breaker) probe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = true
}

// state gives whether the server counts as down, and its last failure.
func (b *breaker) state() (open bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened > 0, b.err
}

// succeed records an answer and says whether that closed the breaker.
func (b *breaker) succeed() (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed = b.opened > 0
	b.failures, b.opened, b.trying, b.err = 0, 0, false, nil
	return changed
}

// fail records a failure and says whether that opened the breaker. patient gives a server more
// chances, see patience.
func (b *breaker) fail(now time.Time, err error, patient bool) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	b.err = err
	if b.opened == 0 && patient && b.failures < patience {
		return false
	}
	if b.opened > 0 && !b.trying {
		return false // operations that were under way when it opened say nothing new
	}
	changed = b.opened == 0
	b.until, b.trying = now.Add(backoff(b.opened)), false
	b.opened++
	return changed
}

// backoff doubles with every failed trial, spread by a fifth both ways so that the brokers of a
// cluster do not come back to a recovering server together.
func backoff(opened int) time.Duration {
	d := min(maxBackoff, minBackoff<<min(opened, 10))
	return d*4/5 + rand.N(d*2/5)
}
