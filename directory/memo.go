package directory

import (
	"sync"
	"time"
)

// memoTurn is how long a generation of a memo lasts at most: what is kept may be out of date by
// twice that.
const memoTurn = 5 * time.Minute

// memo keeps what the directory said, bounded in number and age: two generations, of which the
// older is dropped when the younger is full or old.
type memo[V any] struct {
	size int // of one generation

	mu         sync.Mutex
	young, old map[string]V
	turned     time.Time
}

func newMemo[V any](size int) *memo[V] { return &memo[V]{size: size, young: make(map[string]V)} }

func (m *memo[V]) get(key string, now time.Time) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	if v, ok := m.young[key]; ok {
		return v, true
	}
	v, ok := m.old[key] // it stays in the old generation: use does not prolong it
	return v, ok
}

func (m *memo[V]) put(key string, v V, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	if len(m.young) >= m.size {
		m.old, m.young, m.turned = m.young, make(map[string]V), now
	}
	m.young[key] = v
}

func (m *memo[V]) turn(now time.Time) {
	switch age := now.Sub(m.turned); {
	case age >= 2*memoTurn:
		m.old, m.young, m.turned = nil, make(map[string]V), now
	case age >= memoTurn:
		m.old, m.young, m.turned = m.young, make(map[string]V), now
	}
}
