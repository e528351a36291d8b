package healthcheck

import (
	"math/bits"
	"strconv"
	"sync/atomic"
	"time"
)

// Traffic is how one request to a target, or one login through it, went.
type Traffic uint8

// How a request can go.
const (
	Answered Traffic = iota // there was an answer, with Outcome.Status if it was HTTP
	Refused                 // the connection was refused
	Reset                   // the connection broke before the answer was whole
	TimedOut                // no answer came in time
)

// Outcome is what one request says of its target.
type Outcome struct {
	Traffic Traffic
	Status  int // HTTP status, 0 when there was none
	Latency time.Duration
}

// grade is what an outcome counts as.
type grade uint8

const (
	good grade = iota
	bad
	busy // 503: the target is overloaded, never broken (HK4)
)

func (o Outcome) grade() grade {
	switch {
	case o.Traffic != Answered:
		return bad
	case o.Status == 503:
		return busy
	case o.Status >= 500:
		return bad
	}
	return good
}

// why says in words what kind of failure it was.
func (o Outcome) why() uint32 {
	if o.Traffic != Answered {
		return uint32(o.Traffic)
	}
	return uint32(o.Status) << 8
}

func sayWhy(code uint32) string {
	switch Traffic(code & 0xff) {
	case Refused:
		return "connection refused"
	case Reset:
		return "connection reset"
	case TimedOut:
		return "timed out"
	}
	return "status " + strconv.Itoa(int(code>>8))
}

// cell is what traffic says of one check: a cache line of its own, counted without a lock.
type cell struct {
	// bits has the newest outcomes, newest in bit 0: failures in the low half, 503s in the high.
	bits  atomic.Uint64
	limit atomic.Uint32 // fall<<8 | window; 0: reports are not wanted
	why   atomic.Uint32 // of the newest failure
	at    atomic.Int64  // of the newest outcome, since the engine's start
	told  atomic.Uint32 // 1 while the engine is told and did not look yet
	out   atomic.Uint32 // 1 while the target is ejected

	served, failed, busy atomic.Uint32
}

const cellsPerPage = 256

type cellPage [cellsPerPage]cell

// passive takes the reports. Pages are only ever added, so that a Report never waits.
type passive struct {
	pages atomic.Pointer[[]*cellPage]
	tell  chan Ref
}

func (p *passive) cell(r Ref) *cell {
	pages := p.pages.Load()
	if pages == nil || int(r/cellsPerPage) >= len(*pages) {
		return nil
	}
	return &(*pages)[r/cellsPerPage][r%cellsPerPage]
}

// grow makes room for r. Engine.mu is held.
func (p *passive) grow(r Ref) *cell {
	var pages []*cellPage
	if old := p.pages.Load(); old != nil {
		pages = *old
	}
	if int(r/cellsPerPage) >= len(pages) {
		next := append([]*cellPage(nil), pages...)
		for int(r/cellsPerPage) >= len(next) {
			next = append(next, new(cellPage))
		}
		p.pages.Store(&next)
	}
	return p.cell(r)
}

// want sets what the reports of a check are counted against. A changed rule starts anew.
func (c *cell) want(j Judging) {
	limit := uint32(0)
	if !j.NoPassive {
		limit = uint32(j.PassiveFall)<<8 | uint32(j.PassiveWindow)
	}
	if c.limit.Swap(limit) != limit {
		c.bits.Store(0)
	}
}

// clear forgets all outcomes: the check's index goes to another one.
func (c *cell) clear() {
	c.limit.Store(0)
	c.bits.Store(0)
	c.at.Store(0)
	c.out.Store(0)
	c.served.Store(0)
	c.failed.Store(0)
	c.busy.Store(0)
}

// Report tells how a request to the target of r went. It is for the hot path of whoever sends
// traffic: it neither locks, waits nor allocates. Reports join the state of the check by their
// own k-of-n (passive_fall of the last passive_window): failures eject the target, 503s make it
// overloaded.
func (e *Engine) Report(r Ref, o Outcome) {
	c := e.passive.cell(r)
	if c == nil {
		return
	}
	limit := c.limit.Load()
	if limit == 0 {
		return
	}
	g := o.grade()
	b := c.shift(g)
	c.at.Store(int64(time.Since(e.start)))
	switch g {
	case good:
		c.served.Add(1)
	case bad:
		c.failed.Add(1)
		c.why.Store(o.why())
	case busy:
		c.busy.Add(1)
	}
	if notable(b, limit, g, c.out.Load() == 1) && c.told.CompareAndSwap(0, 1) {
		select {
		case e.passive.tell <- r:
		default: // the engine has enough to look at: the next report tells it again
			c.told.Store(0)
		}
	}
}

// shift adds an outcome to the window.
func (c *cell) shift(g grade) uint64 {
	for {
		old := c.bits.Load()
		fails, busies := uint32(old)<<1, uint32(old>>32)<<1
		switch g {
		case bad:
			fails |= 1
		case busy:
			busies |= 1
		case good:
		}
		next := uint64(busies)<<32 | uint64(fails)
		if c.bits.CompareAndSwap(old, next) {
			return next
		}
	}
}

// notable says whether the engine has to look: the threshold is reached, or an ejected target
// answered passive_fall requests in a row.
func notable(b uint64, limit uint32, g grade, ejected bool) bool {
	fall, window := int(limit>>8), limit&0xff
	switch g {
	case bad:
		return !ejected && failsIn(b, window) >= fall
	case busy:
		return failsIn(b>>32, window) >= fall
	case good:
		return ejected && uint32(b)&(1<<fall-1) == 0
	}
	return false
}

// failsIn counts the failures among the newest n outcomes.
func failsIn(b uint64, n uint32) int { return bits.OnesCount32(uint32(b) & uint32(1<<n-1)) }
