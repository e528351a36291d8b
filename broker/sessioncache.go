package broker

import (
	"sync"
	"time"
)

const (
	// sessionFresh is how long the store's word that a session runs is good for. A session that was
	// ended at another broker is shown offers for no longer than that; Connect and Logout do not
	// rely on it, they ask the store within their transaction.
	sessionFresh = 2 * time.Second
	// sessionKeep is how long an older word is kept for when the store does not answer, and how
	// long a session that ended here is remembered as such.
	sessionKeep = 5 * time.Minute
	// maxSessionsKept bounds the memory (about 25 MB).
	maxSessionsKept = 50_000
)

// sessionCache keeps the running sessions that this broker has lately seen, by token hash.
type sessionCache struct {
	mu      sync.Mutex
	entries map[[32]byte]sessionEntry
}

type sessionEntry struct {
	session  Session
	verified time.Time // when the store was asked and said that it runs
	touched  time.Time // when this broker last told the store that it is used
	ended    time.Time // when it ended here; zero: it runs
}

func (e sessionEntry) seen() time.Time {
	if !e.ended.IsZero() {
		return e.ended
	}
	return e.verified
}

// get gives a session and how long ago the store said that it runs; ok is false for one that is not
// known or has ended here.
func (c *sessionCache) get(hash [32]byte, now time.Time) (s Session, age time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[hash]
	age = now.Sub(e.verified)
	if !ok || !e.ended.IsZero() || age >= sessionKeep {
		return Session{}, 0, false
	}
	return e.session, age, true
}

// over says whether a session has ended here, which no other broker may know yet.
func (c *sessionCache) over(hash [32]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.entries[hash].ended.IsZero()
}

// put keeps what the store said when it was asked at the moment verified. It does not bring back a
// session that ended here meanwhile.
func (c *sessionCache) put(hash [32]byte, s Session, verified time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.entries[hash]
	if known && (!e.ended.IsZero() || e.verified.After(verified)) {
		return
	}
	c.room(known)
	e.session, e.verified = s, verified
	c.entries[hash] = e
}

// end remembers that a session has ended here.
func (c *sessionCache) end(hash [32]byte, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.entries[hash]
	c.room(known)
	c.entries[hash] = sessionEntry{ended: now}
}

// endToken is end for a token that was good before.
func (c *sessionCache) endToken(token string) {
	if t, err := ParseToken(token); err == nil {
		c.end(t.Hash(), time.Now())
	}
}

// drop forgets a session that the store does not know.
func (c *sessionCache) drop(hash [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[hash].ended.IsZero() {
		delete(c.entries, hash)
	}
}

// touch says whether the use of a session is due to be written down, and notes that it is.
func (c *sessionCache) touch(hash [32]byte, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[hash]
	if !ok || now.Sub(e.touched) < touchEvery {
		return false
	}
	e.touched = now
	c.entries[hash] = e
	return true
}

func (c *sessionCache) untouch(hash [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[hash]; ok {
		e.touched = time.Time{}
		c.entries[hash] = e
	}
}

// sweep forgets what is too old to be of use.
func (c *sessionCache) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, e := range c.entries {
		if now.Sub(e.seen()) >= sessionKeep {
			delete(c.entries, hash)
		}
	}
}

// room makes room for one more: any tenth of the entries goes when there are too many, because the
// store knows them all.
func (c *sessionCache) room(known bool) {
	if c.entries == nil {
		c.entries = make(map[[32]byte]sessionEntry)
	}
	if known || len(c.entries) < maxSessionsKept {
		return
	}
	for hash := range c.entries {
		if delete(c.entries, hash); len(c.entries) < maxSessionsKept*9/10 {
			return
		}
	}
}
