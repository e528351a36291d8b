package broker

import (
	"slices"
	"time"
)

// Bounds of what a limiter remembers, so that nobody can fill the memory with names.
const (
	maxTallies = 200_000
	maxBlocks  = 200_000
	maxSeen    = 100_000
	seenFor    = 12 * time.Hour
)

// limiter counts failed sign-ins and says who is blocked. It has no clock and no lock: gate has both.
type limiter struct {
	limits  Limits // with defaults
	site    int
	began   time.Time
	tallies map[LimitKey]*tally
	blocks  map[LimitKey]*held
	seen    map[LimitKey]time.Duration // pairs that have signed in here, and when
	dirty   map[LimitKey]bool          // tallies with counts that the others do not know
	fresh   map[LimitKey]bool          // blocks that the others do not know
}

// held is a block as this broker holds it: its times are elapsed ones.
type held struct {
	level  int
	site   int
	since  time.Duration
	until  time.Duration
	except []string
}

func newLimiter(limits Limits, site int, began time.Time) *limiter {
	return &limiter{
		limits: limits.WithDefaults(), site: site, began: began.Add(-2 * blockMemory), // what is older has a time, too
		tallies: make(map[LimitKey]*tally), blocks: make(map[LimitKey]*held), seen: make(map[LimitKey]time.Duration),
		dirty: make(map[LimitKey]bool), fresh: make(map[LimitKey]bool),
	}
}

func (l *limiter) elapsed(now time.Time) time.Duration { return now.Sub(l.began) }

// blocked returns the block that holds for a sign-in with these keys and ends last.
func (l *limiter) blocked(keys []LimitKey, now time.Time) (key LimitKey, left time.Duration) {
	at := l.elapsed(now)
	for _, k := range keys {
		b := l.blocks[k]
		if k.Kind == LimitUser {
			said := operatorKey(k.User)
			if b := l.blocks[said]; b != nil && b.until-at > left {
				key, left = said, b.until-at
			}
		}
		if b == nil || b.until <= at || b.until-at <= left || k.Kind == LimitUser && l.atHome(b, keys, at) {
			continue
		}
		key, left = k, b.until-at
	}
	return key, left
}

// operatorKey is that of an operator's block of a user, by the name that limitUser makes.
func operatorKey(user string) LimitKey { return LimitKey{Kind: LimitOperator, User: user} }

// atHome says whether the user has signed in before from where he is now.
func (l *limiter) atHome(b *held, keys []LimitKey, at time.Duration) bool {
	for _, k := range keys {
		if k.Kind != LimitPair {
			continue
		}
		last, here := l.seen[k]
		return here && at-last < seenFor || slices.Contains(b.except, k.Source)
	}
	return false
}

// fail counts a failure and returns the keys that are blocked from now on because of it. alone is how
// many brokers share the limits while none hears of the others; otherwise it is 1.
func (l *limiter) fail(keys []LimitKey, now time.Time, alone int) (blocked []LimitKey) {
	at := l.elapsed(now)
	for _, k := range keys {
		if b := l.blocks[k]; b != nil && b.until > at {
			continue // it was under way when the block was made
		}
		t := l.tally(k)
		t.at(at).own.bad++
		l.dirty[k] = true
		if l.over(k, t, at, alone) && l.block(k, at) {
			blocked = append(blocked, k)
		}
	}
	return blocked
}

// over says whether a key has had enough.
func (l *limiter) over(k LimitKey, t *tally, at time.Duration, alone int) bool {
	limit, _ := l.limits.limit(k.Kind)
	c := t.total(at)
	if k.Kind == LimitSource {
		c.bad -= c.good
	}
	return c.bad >= (limit+alone-1)/max(1, alone)
}

// block makes a block, and forgets what led to it.
func (l *limiter) block(k LimitKey, at time.Duration) bool {
	level := 1
	old := l.blocks[k]
	if old == nil && len(l.blocks) >= maxBlocks {
		return false // the wider ones do without it
	}
	if old != nil && at-old.until < blockMemory {
		level = old.level + 1
	}
	l.blocks[k] = &held{level: level, site: l.site, since: at, until: at + l.limits.blockFor(level)}
	l.fresh[k] = true
	l.forget(k)
	return true
}

func (l *limiter) forget(k LimitKey) {
	delete(l.tallies, k)
	delete(l.dirty, k)
}

// succeed counts a user that has signed in: his failures there are over. One without a name has only
// shown that he knows the password, and makes up for nobody's failures but his own.
func (l *limiter) succeed(keys []LimitKey, user string, now time.Time) {
	at := l.elapsed(now)
	for _, k := range keys {
		switch k.Kind {
		case LimitPair:
			if _, known := l.seen[k]; !known && len(l.seen) >= maxSeen {
				for other := range l.seen { // any one
					delete(l.seen, other)
					break
				}
			}
			l.seen[k] = at
			if t := l.tallies[k]; t != nil {
				t.pardon(at)
				l.dirty[k] = true
			}
		case LimitSource:
			if user == "" {
				continue
			}
			t := l.tally(k)
			t.success(user, at)
			if t.total(at).bad > 0 { // else nobody needs to know
				l.dirty[k] = true
			}
		}
	}
}

// tally finds or makes the tally of a key. When there are too many, one that counts little goes.
func (l *limiter) tally(k LimitKey) *tally {
	_, window := l.limits.limit(k.Kind)
	t := l.tallies[k]
	if t != nil && t.width == newTally(window).width {
		return t
	}
	if t == nil && len(l.tallies) >= maxTallies {
		l.evict()
	}
	t = newTally(window)
	l.tallies[k] = t
	return t
}

// evict forgets the least of a few tallies: who floods the memory with names meets his own.
func (l *limiter) evict() {
	const tried = 8
	n, least := 0, -1
	var key LimitKey
	for k, t := range l.tallies {
		bad := 0
		for _, s := range t.slots {
			bad += s.own.bad + s.others.bad
		}
		if least < 0 || bad < least {
			least, key = bad, k
		}
		if n++; n == tried {
			break
		}
	}
	l.forget(key)
}

// sweep forgets what has left its window.
func (l *limiter) sweep(now time.Time) {
	at := l.elapsed(now)
	for k, t := range l.tallies {
		if t.total(at) == (count{}) {
			l.forget(k)
		}
	}
	for k, b := range l.blocks {
		if at-b.until >= blockMemory {
			delete(l.blocks, k)
			delete(l.fresh, k)
		}
	}
	for k, last := range l.seen {
		if at-last >= seenFor {
			delete(l.seen, k)
		}
	}
}

// remaining is how many failures a key has left, 1 at least.
func (l *limiter) remaining(k LimitKey, now time.Time, alone int) int {
	limit, _ := l.limits.limit(k.Kind)
	bad := 0
	if t := l.tallies[k]; t != nil {
		bad = t.total(l.elapsed(now)).bad
	}
	return max(1, (limit+alone-1)/max(1, alone)-bad)
}
