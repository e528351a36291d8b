package choice

import "math"

// RoundRobin gives each member its weight's share of consecutive draws, spread out: weights 3, 1
// and 2 give A C A B C A rather than A A A B C C. A member of weight w has its w turns of a
// round at the times (j + 1/2) / w; the draw says which turn of all it is.
func RoundRobin(q *Question, among []int) int {
	total := 0
	equal := true
	for _, i := range among {
		total += weightOf(q, i)
		equal = equal && weightOf(q, i) == weightOf(q, among[0])
	}
	if equal {
		return among[q.Draw%uint64(len(among))]
	}
	turn := int(q.Draw % uint64(total)) // #nosec G115 -- total is small
	// Bisect for the time of that turn. 40 steps separate any two turns of weights to 1000.
	before, after := 0.0, 1.0
	for range 40 {
		mid := (before + after) / 2
		if turnsUntil(q, among, mid) > turn {
			after = mid
		} else {
			before = mid
		}
	}
	nth := turn - turnsUntil(q, among, before) // of those whose turns coincide
	for _, i := range among {
		if turns(weightOf(q, i), after) > turns(weightOf(q, i), before) {
			if nth == 0 {
				return i
			}
			nth--
		}
	}
	return among[0]
}

// turns is how many turns a member of weight w has until t, a time from 0 to 1.
func turns(w int, t float64) int { return int(math.Floor(float64(w)*t + 0.5)) }

func turnsUntil(q *Question, among []int, t float64) int {
	n := 0
	for _, i := range among {
		n += turns(weightOf(q, i), t)
	}
	return n
}
