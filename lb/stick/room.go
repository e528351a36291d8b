package stick

import "time"

// giveUp removes an entry near a hash: an expired one, else that of a few which expires first.
func (t *Table) giveUp(s *shard, hash int, now uint32) {
	mask := len(s.slots) - 1
	victim := -1
	for i, looked := hash&mask, 0; looked < probes; i = (i + 1) & mask {
		e := &s.slots[i]
		if e.Member == 0 {
			continue
		}
		looked++
		if victim < 0 || e.Expires < s.slots[victim].Expires {
			victim = i
		}
		if e.Expires <= now {
			break
		}
	}
	if s.slots[victim].Expires > now {
		t.evicted.Add(1)
	}
	t.remove(s, victim)
}

// remove frees a slot and closes the gap, so that no way to another entry leads over a free slot.
func (t *Table) remove(s *shard, gap int) {
	mask := len(s.slots) - 1
	for i := (gap + 1) & mask; s.slots[i].Member != 0; i = (i + 1) & mask {
		_, home := t.find(&s.slots[i].Key)
		if (i-home)&mask >= (i-gap)&mask {
			s.slots[gap] = s.slots[i]
			gap = i
		}
	}
	s.slots[gap] = slot{}
	s.used--
}

// resize moves what has not expired into n slots.
func (t *Table) resize(s *shard, n int, now uint32) {
	old := s.slots
	s.slots, s.used = make([]slot, n), 0
	for i := range old {
		if e := &old[i]; e.Member != 0 && e.Expires > now {
			_, hash := t.find(&e.Key)
			s.slots[s.at(&e.Key, hash)] = *e
			s.used++
		}
	}
}

// Sweep removes the expired entries of one shard; n counts the calls. A shard that has become
// almost empty gives memory back.
func (t *Table) Sweep(n int, now time.Duration) {
	s := &t.shards[n%shards]
	limit := ticks(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < len(s.slots); {
		if e := &s.slots[i]; e.Member != 0 && e.Expires <= limit {
			t.remove(s, i) // and look at what took its place
			continue
		}
		i++
	}
	if len(s.slots) > minSlots && s.used < room(len(s.slots))/4 {
		t.resize(s, len(s.slots)/2, limit)
	}
}

// Shards is how many parts Append reads the table in.
const Shards = shards

// Append adds the entries of one shard that have not expired to dst.
func (t *Table) Append(dst []Entry, n int, now time.Duration) []Entry {
	s := &t.shards[n%shards]
	limit := ticks(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		if e := s.slots[i]; e.Member != 0 && e.Expires > limit {
			e.Member &^= learnt
			dst = append(dst, e)
		}
	}
	return dst
}

// Counts gives the number of entries of every member that has any. It reads the whole table.
func (t *Table) Counts(now time.Duration) map[uint32]int {
	counts := make(map[uint32]int)
	limit := ticks(now)
	for n := range t.shards {
		s := &t.shards[n]
		s.mu.Lock()
		for i := range s.slots {
			if e := &s.slots[i]; e.Member != 0 && e.Expires > limit {
				counts[e.Member&^learnt]++
			}
		}
		s.mu.Unlock()
	}
	return counts
}

// Evicted counts the entries that were given up before they expired.
func (t *Table) Evicted() uint64 { return t.evicted.Load() }

// Left is how long an entry has at now.
func (e Entry) Left(now time.Duration) time.Duration {
	if at := ticks(now); e.Expires > at {
		return time.Duration(e.Expires-at) * Tick
	}
	return 0
}
