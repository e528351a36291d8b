package lb

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

const (
	stickShards = 64
	// maxStick bounds the persistence entries of one pool.
	maxStick = 1 << 20
	// stickTick is the resolution of expiry times, so that one fits 32 bits for 13 years.
	stickTick = 100 * time.Millisecond
	// stickProbe is how many entries are looked at to find one to evict.
	stickProbe = 8
)

// stickTable remembers which member a source address had (LB3). Every use extends an entry. It
// is bounded: a full shard gives up an expired entry if it finds one, else the one of a few
// that expires first. Entries hold no pointers, so the collector does not walk them.
type stickTable struct {
	seed     maphash.Seed
	perShard int
	shards   [stickShards]stickShard
}

type stickShard struct {
	mu sync.Mutex
	m  map[[16]byte]stickEntry
	_  [40]byte // shards on their own cache lines
}

type stickEntry struct {
	member  uint32 // upstream.id
	expires uint32 // in ticks since the proxy's start
}

func newStickTable(limit int) *stickTable {
	return &stickTable{seed: maphash.MakeSeed(), perShard: max(1, limit/stickShards)}
}

func (t *stickTable) shard(key [16]byte) *stickShard {
	return &t.shards[maphash.Bytes(t.seed, key[:])%stickShards]
}

func ticks(d time.Duration) uint32 { return uint32(d / stickTick) } // #nosec G115 -- 13 years

// get gives the member id of a client, extending its entry by keep. now is the time since the
// proxy's start.
func (t *stickTable) get(client netip.Addr, now, keep time.Duration) (uint32, bool) {
	key := client.As16()
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[key]
	if !ok || e.expires <= ticks(now) {
		return 0, false
	}
	if until := ticks(now + keep); until != e.expires {
		s.m[key] = stickEntry{e.member, until}
	}
	return e.member, true
}

// peek is get without extending.
func (t *stickTable) peek(client netip.Addr, now time.Duration) (uint32, time.Duration, bool) {
	key := client.As16()
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[key]
	if !ok || e.expires <= ticks(now) {
		return 0, 0, false
	}
	return e.member, time.Duration(e.expires-ticks(now)) * stickTick, true
}

// put binds a client to a member.
func (t *stickTable) put(client netip.Addr, member uint32, now, keep time.Duration) {
	key := client.As16()
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[[16]byte]stickEntry)
	}
	if _, known := s.m[key]; !known && len(s.m) >= t.perShard {
		s.evict(ticks(now))
	}
	s.m[key] = stickEntry{member, ticks(now + keep)}
}

// evict makes room for one entry.
func (s *stickShard) evict(now uint32) {
	var oldest [16]byte
	found, least, looked := false, uint32(0), 0
	for key, e := range s.m {
		if !found || e.expires < least {
			oldest, least, found = key, e.expires, true
		}
		if looked++; least <= now || looked == stickProbe {
			break
		}
	}
	delete(s.m, oldest)
}

// sweep removes the expired entries of one shard.
func (t *stickTable) sweep(n int, now time.Duration) {
	s := &t.shards[n%stickShards]
	limit := ticks(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.m {
		if e.expires <= limit {
			delete(s.m, key)
		}
	}
}

// len counts the entries, expired ones that no sweep has met yet included.
func (t *stickTable) len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.m)
		s.mu.Unlock()
	}
	return n
}
