package stick

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards = 64
	// Tick is the resolution of expiry times, so that one fits 32 bits for 13 years.
	Tick = 100 * time.Millisecond
	// steps is in how many steps an entry that is used all the time is told of anew: others know
	// its expiry to a tenth.
	steps = 10
	// probes is how many entries are looked at to find one to give up.
	probes   = 8
	minSlots = 16 // of a shard
	// learnt marks the member of an entry that came from another node and was not used here since.
	learnt = 1 << 31
)

// MaxMember is the greatest id of a member; the smallest is 1.
const MaxMember = learnt - 1

// Key is who is remembered.
type Key [16]byte

// Entry is a key, its member, and when it expires, in ticks since the process's start.
type Entry struct {
	Key     Key
	Member  uint32
	Expires uint32
}

// slot is an Entry in its place; without a member it is free.
type slot = Entry

// Table is safe for use by many goroutines.
type Table struct {
	seed    maphash.Seed
	most    int // slots of a shard
	journal *Journal
	evicted atomic.Uint64
	shards  [shards]shard
}

// shard is a hash table with linear probing.
type shard struct {
	mu    sync.Mutex
	slots []slot // a power of two, or none
	used  int
	_     [24]byte // shards on their own cache lines
}

// New makes a table for at least so many entries, 24 to 48 bytes each. A journal, if there is
// one, is told of every change that is not learnt.
func New(entries int, journal *Journal) *Table {
	t := &Table{seed: maphash.MakeSeed(), most: minSlots, journal: journal}
	for room(t.most)*shards < entries {
		t.most *= 2
	}
	return t
}

// room is how many of n slots may be used: beyond that the ways to an entry get long.
func room(n int) int { return n / 4 * 3 }

// ticks counts a time in ticks; what lies beyond the 13 years that fit is the last of them.
func ticks(d time.Duration) uint32 {
	return uint32(min(max(0, d)/Tick, math.MaxUint32)) // #nosec G115 -- it fits
}

func (t *Table) find(k *Key) (*shard, int) {
	h := maphash.Bytes(t.seed, k[:])
	return &t.shards[h%shards], int(h / shards >> 1) // #nosec G115 -- 57 bits
}

// at gives the index of a key's slot, or of the free one where it would be.
func (s *shard) at(k *Key, hash int) int {
	mask := len(s.slots) - 1
	for i := hash & mask; ; i = (i + 1) & mask {
		if e := &s.slots[i]; e.Member == 0 || e.Key == *k {
			return i
		}
	}
}

// live gives the slot of a key that has not expired, or nil. s.mu is held.
func (s *shard) live(k *Key, hash int, now uint32) *slot {
	if len(s.slots) == 0 {
		return nil
	}
	e := &s.slots[s.at(k, hash)]
	if e.Member == 0 || e.Expires <= now {
		return nil
	}
	return e
}

// Use gives the member of a key and extends its entry by keep from now, which is the time since
// the process's start.
func (t *Table) Use(k Key, now, keep time.Duration) (member uint32, ok bool) {
	s, hash := t.find(&k)
	s.mu.Lock()
	e := s.live(&k, hash, ticks(now))
	if e == nil {
		s.mu.Unlock()
		return 0, false
	}
	before, until := e.Expires, max(e.Expires, ticks(now+keep))
	took := e.Member&learnt != 0
	e.Member &^= learnt
	e.Expires = until
	member = e.Member
	if step := max(1, ticks(keep)/steps); t.journal != nil && (took || before/step != until/step) {
		t.journal.add(*e)
	}
	s.mu.Unlock()
	return member, true
}

// Peek is Use without extending: the member, and how long the entry has left.
func (t *Table) Peek(k Key, now time.Duration) (member uint32, left time.Duration, ok bool) {
	s, hash := t.find(&k)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.live(&k, hash, ticks(now))
	if e == nil {
		return 0, 0, false
	}
	return e.Member &^ learnt, time.Duration(e.Expires-ticks(now)) * Tick, true
}

// Bind makes a member that of a key, for keep from now.
func (t *Table) Bind(k Key, member uint32, now, keep time.Duration) {
	e := Entry{k, member, ticks(now + keep)}
	s, hash := t.find(&k)
	s.mu.Lock()
	t.put(s, hash, e, ticks(now))
	if t.journal != nil {
		t.journal.add(e) // under the lock: changes of one key are told in their order
	}
	s.mu.Unlock()
}

// Merge takes over what another node knows of a key, with the time that it has left, and says
// whether that changed anything. Of two members the newer one counts: what was only learnt here
// gives way to what is learnt now, and else the one that was used later wins. Within half a second
// nobody can tell which that was, and first says whether the new member goes before the old one,
// alike on all nodes.
func (t *Table) Merge(k Key, member uint32, now, left time.Duration, first func(member, than uint32) bool) bool {
	e := Entry{k, member | learnt, ticks(now + left)}
	s, hash := t.find(&k)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.live(&k, hash, ticks(now))
	switch {
	case e.Expires <= ticks(now):
		return false
	case old == nil:
		t.put(s, hash, e, ticks(now))
		return true
	case old.Member&^learnt == member:
		changed := e.Expires > old.Expires
		old.Expires = max(old.Expires, e.Expires)
		return changed
	case old.Member&learnt == 0 && !later(e.Expires, old.Expires, func() bool { return first(member, old.Member) }):
		return false
	}
	*old = e
	return true
}

// later says whether a is so much after b that it was used later, or decides by tie.
func later(a, b uint32, tie func() bool) bool {
	const doubt = 5 // ticks
	if a > b+doubt || b > a+doubt {
		return a > b
	}
	return tie()
}

// put writes an entry, making room for it if it is new. s.mu is held.
func (t *Table) put(s *shard, hash int, e Entry, now uint32) {
	if len(s.slots) > 0 {
		if old := &s.slots[s.at(&e.Key, hash)]; old.Member != 0 {
			*old = e
			return
		}
	}
	if s.used >= room(len(s.slots)) {
		if len(s.slots) < t.most {
			t.resize(s, max(minSlots, 2*len(s.slots)), now)
		} else {
			t.giveUp(s, hash, now)
		}
	}
	s.slots[s.at(&e.Key, hash)] = e
	s.used++
}
