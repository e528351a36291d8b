package lb

import (
	"sync"
	"sync/atomic"
)

// What the watcher says in the place of a time limit.
const (
	overdue int64 = -1 - iota // the wait took too long
	nudged                    // the client has closed its side: see whether it is still there
	gone                      // the client's connection is broken
)

// limit is until when what a connection's goroutine does now may take. Setting it costs no timer:
// the watcher looks at all limits a few times a second and wakes whoever is over his, by a
// deadline in the past on both sides' sockets.
//
//	limit -- until --> limit ... -- the watcher --> overdue | nudged | gone -- revive --> none
type limit struct {
	due atomic.Int64 // nanoseconds since the proxy's start, 0 for none, or the watcher's word
	// word is held by the watcher from its word until both sockets are woken.
	word sync.Mutex
}

// until sets the limit. It fails where the watcher has spoken: then the connections are not to be
// used before revive.
func (l *limit) until(t int64) bool {
	for {
		old := l.due.Load()
		if old < 0 {
			return false
		}
		if l.due.CompareAndSwap(old, t) {
			return true
		}
	}
}

// spoken gives the watcher's word, 0 for none.
func (l *limit) spoken() int64 { return min(l.due.Load(), 0) }

// speak is the watcher's: it replaces a limit that still is due by its word and wakes the
// connections. It says whether the limit was still that one.
func (c *clientConn) speak(due, word int64) bool {
	c.word.Lock()
	defer c.word.Unlock()
	if !c.due.CompareAndSwap(due, word) {
		return false
	}
	c.wake()
	if up := c.upstream.Load(); up != nil {
		up.wake()
	}
	if w := c.waits.Load(); w != nil {
		w.kick()
	}
	return true
}

// revive takes the watcher's word back and lets the client's connection be used again.
func (c *clientConn) revive() (word int64, err error) {
	c.word.Lock() // the watcher has woken all that it wakes
	word = c.due.Swap(0)
	c.word.Unlock()
	return word, c.calm()
}
