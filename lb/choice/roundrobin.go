package choice

import "math"

// rampScale is how fine round robin counts the part of a weight that slow start allows.
const rampScale = 100

// RoundRobin gives each member its weight's share of consecutive draws, spread out: weights 3, 1
// and 2 give A C A B C A rather than A A A B C C. A member of weight w has its w turns of a
// round at the times (j + 1/2) / w; the draw says which turn of all it is.
func RoundRobin(q *Question, among []int) int {
	first, equal, whole := weightOf(q, among[0]), true, true
	most := first
	for _, i := range among {
		w := weightOf(q, i)
		most = max(most, w)
		equal = equal && w == first
		whole = whole && w == math.Trunc(w)
	}
	if equal {
		return among[q.Draw%uint64(len(among))]
	}
	scale := 1.0
	if !whole {
		scale = rampScale
	}
	turn := int(q.Draw % uint64(turnsUntil(q, among, scale, 1))) // #nosec G115 -- weights are small
	// Bisect for the time of that turn. Turns of weights v and w that differ do so by 1/(2vw) at
	// least.
	before, after, apart := 0.0, 1.0, 1/(4*most*most*scale*scale)
	for after-before > apart {
		mid := (before + after) / 2
		if turnsUntil(q, among, scale, mid) > turn {
			after = mid
		} else {
			before = mid
		}
	}
	nth := turn - turnsUntil(q, among, scale, before) // of those whose turns coincide
	for _, i := range among {
		if turns(q, i, scale, after) > turns(q, i, scale, before) {
			if nth == 0 {
				return i
			}
			nth--
		}
	}
	return among[0]
}

// turns is how many turns a member has until t, a time from 0 to 1.
func turns(q *Question, i int, scale, t float64) int {
	w := weightOf(q, i)
	if scale > 1 {
		w = max(1, math.Round(w*scale))
	}
	return int(w*t + 0.5)
}

func turnsUntil(q *Question, among []int, scale, t float64) int {
	n := 0
	for _, i := range among {
		n += turns(q, i, scale, t)
	}
	return n
}
