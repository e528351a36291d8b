package broker

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// gate stands before the directories: it lets a sign-in pass or not, and learns how it ended. A lock and
// a clock around limiter.
type gate struct {
	mu      sync.Mutex
	limiter *limiter
	exempt  []netip.Prefix
	lines   map[LimitKey]*abreast
	alone   int           // how many brokers share the limits while none hears of the others; else 1
	news    chan struct{} // a block was made: tell the others now
}

// abreast are the sign-ins of one user from one address that are under way. No more of them go on at once
// than may still fail: who guesses in parallel has not one guess more.
type abreast struct {
	n     int
	moved chan struct{} // closed when one of them has ended
}

func newGate(site int, exempt []netip.Prefix) *gate {
	return &gate{
		limiter: newLimiter(Limits{}, site, time.Now()), exempt: exempt,
		lines: make(map[LimitKey]*abreast), alone: 1, news: make(chan struct{}, 1),
	}
}

// setLimits takes over the limits of a setup.
func (g *gate) setLimits(l Limits) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limiter.limits = l.WithDefaults()
}

// keys are what a sign-in counts against.
func (g *gate) keys(user, clientAddr string) []LimitKey {
	return limitKeys(limitUser(user), clientAddr, g.exempt)
}

// blocked says which block holds for a sign-in, and for how long.
func (g *gate) blocked(keys []LimitKey) (LimitKey, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limiter.blocked(keys, time.Now())
}

// enter waits for the turn of a sign-in. One that got it (left is 0) has to leave.
func (g *gate) enter(ctx context.Context, keys []LimitKey) (key LimitKey, left time.Duration, err error) {
	for {
		key, left, wait := g.tryEnter(keys)
		if wait == nil {
			return key, left, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return key, 0, ctx.Err()
		}
	}
}

func (g *gate) tryEnter(keys []LimitKey) (LimitKey, time.Duration, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if key, left := g.limiter.blocked(keys, now); left > 0 {
		return key, left, nil
	}
	k, ok := lineKey(keys)
	if !ok {
		return k, 0, nil
	}
	w := g.lines[k]
	if w == nil {
		w = &abreast{moved: make(chan struct{})}
		g.lines[k] = w
	}
	if may := g.limiter.remaining(k, now, g.alone); w.n > 0 && w.n >= may {
		return k, 0, w.moved
	}
	w.n++
	return k, 0, nil
}

// holding is how many blocks hold now.
func (g *gate) holding() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, n := g.limiter.elapsed(time.Now()), 0
	for _, b := range g.limiter.blocks {
		if b.until > at {
			n++
		}
	}
	return float64(n)
}

// lineKey is the narrowest key of a user: where there is no address, he stands in line with himself.
func lineKey(keys []LimitKey) (LimitKey, bool) {
	if len(keys) > 0 && keys[0].Kind != LimitSource {
		return keys[0], true
	}
	return LimitKey{}, false
}

// ofKind are the keys of that kind.
func ofKind(keys []LimitKey, kind LimitKind) []LimitKey {
	return slices.DeleteFunc(slices.Clone(keys), func(k LimitKey) bool { return k.Kind != kind })
}

// verdict is how a sign-in ended, as far as it counts.
type verdict int

const (
	verdictNone   verdict = iota // nobody knows whether the password is right
	verdictDoubt                 // wrong for those who answer; the one that knows the user may be silent
	verdictFailed                // wrong password, or no such user
	verdictRight                 // the password is right
)

// leave ends a sign-in that has entered, and returns what is blocked because of it. user is who has signed
// in, by the name that the directory gives him: spellings of one name are not many people. Doubt counts
// against the user alone, of whom that takes many and spares the places where he has signed in: people try
// again, and their clients for them, while a directory is down.
func (g *gate) leave(keys []LimitKey, user string, v verdict) (blocked []LimitKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch v {
	case verdictDoubt:
		blocked = g.limiter.fail(ofKind(keys, LimitUser), time.Now(), g.alone)
	case verdictFailed:
		blocked = g.limiter.fail(keys, time.Now(), g.alone)
	case verdictRight:
		g.limiter.succeed(keys, user, time.Now())
	}
	if k, ok := lineKey(keys); ok {
		w := g.lines[k]
		close(w.moved)
		w.moved = make(chan struct{})
		if w.n--; w.n == 0 {
			delete(g.lines, k)
		}
	}
	if len(blocked) > 0 {
		g.tell()
	}
	return blocked
}
