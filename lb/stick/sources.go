package stick

import (
	"hash/maphash"
	"math"
	"sync/atomic"
	"time"
)

const (
	sourceWindow = 30 * time.Second
	sourceRows   = 2
	sourceWidth  = 4096
	// sourceLeast is how many requests a source must have made at all to be above any share.
	sourceLeast = 20
)

// Sources estimates how many requests each source has made in the last half minute to a minute, in
// 64 KiB whatever their number: a count-min sketch whose mean error is taken off, over two windows
// of which the older one counts for as much as is left of it. Sources that are counted nowhere else
// may be told to be more than they are, never much less. The number of sources is estimated from
// the cells that are still empty, and is good up to some 20,000.
type Sources struct {
	seed    maphash.Seed
	window  atomic.Int64
	windows [2]sourceCounts
}

type sourceCounts struct {
	cells [sourceRows][sourceWidth]atomic.Uint32
	total atomic.Uint32
	taken atomic.Uint32 // cells of the first row that are not 0
}

// Share is what a source's part in the requests of late is.
type Share struct {
	Requests float64 // of the source
	Total    float64 // of all
	Sources  float64 // that there are
}

// NewSources makes an empty one.
func NewSources() *Sources { return &Sources{seed: maphash.MakeSeed()} }

// Count counts a request of a source and gives its share with it.
func (s *Sources) Count(k Key, now time.Duration) Share { return s.share(k, now, 1) }

// Look gives a source's share.
func (s *Sources) Look(k Key, now time.Duration) Share { return s.share(k, now, 0) }

func (s *Sources) share(k Key, now time.Duration, more uint32) Share {
	w := int64(now / sourceWindow)
	s.turn(w)
	here, before := &s.windows[w&1], &s.windows[w&1^1]
	if more > 0 {
		here.total.Add(more)
	}
	h := maphash.Bytes(s.seed, k[:])
	left := 1 - float64(now%sourceWindow)/float64(sourceWindow)
	least := math.Inf(1)
	for row := range sourceRows {
		at := h >> (16 * row) % sourceWidth
		n := here.cells[row][at].Add(more)
		if row == 0 && more > 0 && n == more {
			here.taken.Add(1)
		}
		least = min(least, float64(n)+left*float64(before.cells[row][at].Load()))
	}
	out := Share{Total: float64(here.total.Load()) + left*float64(before.total.Load())}
	out.Requests = max(0, least-max(0, out.Total-least)/(sourceWidth-1))
	out.Sources = max(1, here.sources(), before.sources())
	return out
}

// turn makes w the newest window. Requests that are counted in the same moment may be lost.
func (s *Sources) turn(w int64) {
	was := s.window.Load()
	if w <= was || !s.window.CompareAndSwap(was, w) {
		return
	}
	s.windows[w&1].clear()
	if w > was+1 {
		s.windows[w&1^1].clear()
	}
}

func (c *sourceCounts) clear() {
	for row := range c.cells {
		for i := range c.cells[row] {
			c.cells[row][i].Store(0)
		}
	}
	c.total.Store(0)
	c.taken.Store(0)
}

// sources estimates how many there are from how many cells they left empty (linear counting, Whang
// 1990).
func (c *sourceCounts) sources() float64 {
	empty := max(1, sourceWidth-int(c.taken.Load()))
	if empty == sourceWidth {
		return 0
	}
	return sourceWidth * math.Log(sourceWidth/float64(empty))
}

// Fair is the fair share of a source in the requests of a pool with so many members: a part as large
// as that of every other source, and never more than half of a member's part. With one source or
// two there would be nobody to be fair to, and still members that get nothing.
func (s Share) Fair(members int) float64 {
	return s.Total / max(s.Sources, 2*float64(members))
}

// Above says whether the source makes more than so many times its fair share of the requests. A few
// requests are never too many.
func (s Share) Above(times, members int) bool {
	return s.Requests >= sourceLeast && s.Requests > float64(times)*s.Fair(members)
}
