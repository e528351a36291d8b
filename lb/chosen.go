package lb

import (
	"sync"
	"sync/atomic"

	"switchpoint/lb/choice"
)

// recentSeconds is what counts as lately where shares are told.
const recentSeconds = 60

// hows are the rules that a choice may go by.
const hows = choice.Pinned + 1

// chosen counts how often a member was chosen, by the rule.
type chosen struct {
	by [hows]atomic.Uint64

	mu   sync.Mutex
	past [recentSeconds]uint64 // the sum at each of the last seconds
	at   int
}

func (c *chosen) total() (n uint64) {
	for i := range c.by {
		n += c.by[i].Load()
	}
	return n
}

// tick is called every second.
func (c *chosen) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.past[c.at] = c.total()
	c.at = (c.at + 1) % recentSeconds
}

// lately is how often it was chosen in the last minute.
func (c *chosen) lately() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total() - c.past[c.at]
}

// chosenBy is the word of metrics and status for a rule; empty for one that chooses nobody.
func chosenBy(how choice.How) string {
	switch how {
	case choice.Persisted:
		return "persistence"
	case choice.PersistedDraining:
		return "persistence-draining"
	case choice.ByMethod:
		return "method"
	case choice.ByMethodAll:
		return "method-all-failing"
	case choice.ByMethodPanic:
		return "method-panic"
	case choice.Pinned:
		return "connection"
	}
	return ""
}

// each tells the counts of all rules that chose it.
func (c *chosen) each(tell func(by string, n uint64)) {
	for how := range c.by {
		if by := chosenBy(choice.How(how)); by != "" { // #nosec G115 -- few
			tell(by, c.by[how].Load())
		}
	}
}
