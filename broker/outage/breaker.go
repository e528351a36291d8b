package outage

import (
	"sync"
	"time"
)

const (
	breakAfter  = 3 // time-outs
	breakWithin = time.Second
)

// breaker keeps calls from waiting for a database that has let several of them wait in vain (DC4). An
// answer to the prober closes it.
type breaker struct {
	mu     sync.Mutex
	recent [breakAfter]time.Time // time-outs, in a ring
	next   int
	opened bool
}

func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened
}

// failed takes a call without an answer. One that was refused at once cost nobody any time.
func (b *breaker) failed(now time.Time, timedOut bool) {
	if !timedOut {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent[b.next] = now
	b.next = (b.next + 1) % breakAfter
	if oldest := b.recent[b.next]; !oldest.IsZero() && now.Sub(oldest) <= breakWithin {
		b.opened = true
	}
}

func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened, b.recent = false, [breakAfter]time.Time{}
}
