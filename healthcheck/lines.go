package healthcheck

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// sessionAge is how long TLS sessions are resumed until the target has to show its certificate
// again: a resumed session says nothing of a certificate that was replaced since.
const sessionAge = 5 * time.Minute

// lines are the connections that probes leave open for the next ones to the same address, one
// for each address and TLS identity. They belong to the engine, not to a table, so a reload
// keeps them.
type lines struct {
	mu    sync.Mutex
	by    map[lineKey]*line
	idle  int
	max   int          // idle connections, a share of the descriptors
	every atomic.Int64 // probes per connection
	hands bucket
	ended bool

	fresh, kept, stale, handshakes, deferred atomic.Uint64
}

// lineKey is what probes must have in common to share a connection.
type lineKey struct {
	address string
	secure  string // what the TLS handshake verified; empty without TLS
	proxy   string // send_proxy
}

type line struct {
	idle    *wire
	young   bool // it had no connection yet
	session *tls.ClientSessionState
	full    time.Time // the newest whole handshake
}

type linesKey struct{}

// linesOf gives the lines that the engine put into the context of its probes. A probe that runs
// by itself has none, and every method of a nil *lines is that of no line at all.
func linesOf(ctx context.Context) *lines {
	l, _ := ctx.Value(linesKey{}).(*lines)
	return l
}

// configure takes the bounds of a new table and closes what it has no use for.
func (l *lines) configure(s Settings, keys []Key) {
	wanted := make(map[string]bool, len(keys))
	for _, k := range keys {
		wanted[k.Address] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.every.Store(int64(s.FreshEvery))
	l.max = keptLimit(descriptorLimit())
	l.hands.rate = float64(s.MaxHandshakes)
	for k, ln := range l.by {
		if !wanted[k.address] {
			l.closeIdle(ln)
			delete(l.by, k)
		}
	}
}

// on says that probes leave connections open.
func (l *lines) on() bool { return l != nil && l.every.Load() > 1 }

// take gives the open connection of k; nil when there is none.
func (l *lines) take(k lineKey) *wire {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.by[k]
	if ln == nil || ln.idle == nil {
		return nil
	}
	w := ln.idle
	ln.idle = nil
	l.idle--
	return w
}

// put leaves w open for the next probe, or closes it: after its share of probes, or when there is
// one already, or no room. Who has a place keeps it: checks come round in turns, and giving the
// oldest away would leave each without one when its turn comes.
func (l *lines) put(k lineKey, w *wire) {
	if w.uses++; l == nil || !l.store(k, w) {
		_ = w.Close()
	}
}

// done leaves w open if the exchange on it allows that.
func (l *lines) done(k lineKey, w *wire, keep bool) {
	if keep {
		l.put(k, w)
		return
	}
	_ = w.Close()
}

func (l *lines) store(k lineKey, w *wire) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || int64(w.uses) >= l.every.Load() || l.idle >= l.max {
		return false
	}
	ln := l.at(k)
	if ln.idle != nil {
		return false
	}
	if ln.young { // the first ones live shorter, each by its own measure, or all would end at once
		ln.young = false
		if w.uses += rand.IntN(int(l.every.Load())); int64(w.uses) >= l.every.Load() {
			return false
		}
	}
	ln.idle = w
	l.idle++
	return true
}

func (l *lines) at(k lineKey) *line {
	ln := l.by[k]
	if ln == nil {
		ln = &line{young: true}
		l.by[k] = ln
	}
	return ln
}

func (l *lines) closeIdle(ln *line) {
	if ln.idle != nil {
		_ = ln.idle.Close()
		ln.idle = nil
		l.idle--
	}
}

// end closes all; from then on every connection is closed after its probe.
func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for _, ln := range l.by {
		l.closeIdle(ln)
	}
}

// mayHandshake takes one new handshake out of this second's.
func (l *lines) mayHandshake() bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	ok := l.hands.take(time.Now())
	l.mu.Unlock()
	if ok {
		l.handshakes.Add(1)
	} else {
		l.deferred.Add(1)
	}
	return ok
}

// bucket is a token bucket of one second's size.
type bucket struct {
	rate, left float64
	at         time.Time
}

func (b *bucket) take(now time.Time) bool {
	if b.at.IsZero() {
		b.left = b.rate
	}
	b.left = min(b.rate, b.left+b.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// sessions resumes the TLS sessions of one line; crypto/tls would keep them by server name,
// which many targets share.
type sessions struct {
	l *lines
	k lineKey
}

// Get gives the session to resume.
func (s sessions) Get(string) (*tls.ClientSessionState, bool) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	ln := s.l.by[s.k]
	if ln == nil || ln.session == nil || time.Since(ln.full) > sessionAge {
		return nil, false
	}
	return ln.session, true
}

// Put keeps a session, or forgets it (nil).
func (s sessions) Put(_ string, cs *tls.ClientSessionState) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if !s.l.ended {
		s.l.at(s.k).session = cs
	}
}

// whole notes that the target showed its certificate.
func (s sessions) whole() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.l.at(s.k).full = time.Now()
}
