package stick

import "sync"

// Journal keeps the last changes of a Table for those who follow it.
type Journal struct {
	mu   sync.Mutex
	ring []Entry
	next uint64 // number of the next change
}

// NewJournal makes one that keeps so many changes.
func NewJournal(entries int) *Journal { return &Journal{ring: make([]Entry, entries)} }

func (j *Journal) add(e Entry) {
	j.mu.Lock()
	j.ring[j.next%uint64(len(j.ring))] = e
	j.next++
	j.mu.Unlock()
}

// Next is the number that the next change will have.
func (j *Journal) Next() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// Since adds the changes from a number on to dst, at most so many, and gives the number to go on
// from. Not ok: they are no longer kept, or never were.
func (j *Journal) Since(from uint64, dst []Entry, most int) (_ []Entry, next uint64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	size := uint64(len(j.ring))
	if from > j.next || j.next-from > size {
		return dst, from, false
	}
	for next = from; next < j.next && most > 0; next++ {
		dst = append(dst, j.ring[next%size])
		most--
	}
	return dst, next, true
}
