package choice

import (
	"math"
	"time"
)

// rampFloor is the least part of its weight that a member has while slow start holds: with less
// it would show nothing of what it can do.
const rampFloor = 0.1

// mostAsked is how much of its weight a member may ask for at most, in percent.
const mostAsked = 1000

// weightOf is a member's weight in this decision: the configured one, of which it has the part that
// its agent asks for, and when it came back a part that grows evenly over slow_start.
func weightOf(q *Question, i int) float64 {
	return float64(max(1, q.Weights[i])) * asked(q.States[i].Load.Weight) * Ramp(q.Loads[i].Since, q.SlowStart)
}

// asked is the part of its weight that a member asks for, in percent (healthcheck.Load.Weight; 0: it
// says nothing).
func asked(percent int) float64 {
	if percent <= 0 {
		return 1
	}
	return float64(min(percent, mostAsked)) / 100
}

// Ramp is the part of its weight that a member has when it is back for since (0: it was always
// there).
func Ramp(since, slowStart time.Duration) float64 {
	if since <= 0 || since >= slowStart {
		return 1
	}
	return max(rampFloor, float64(since)/float64(slowStart))
}

// cheapest chooses the member with the lowest cost. Those that cost no more than slack times as
// much are its equals, and take turns.
func cheapest(q *Question, among []int, slack float64, cost func(i int) float64) int {
	var space [64]float64 // larger pools are counted twice
	costs := space[:min(len(space), len(among))]
	limit := math.Inf(1)
	for k, i := range among {
		c := cost(i)
		if k < len(costs) {
			costs[k] = c
		}
		limit = min(limit, c)
	}
	limit *= slack
	n := 0
	for k, i := range among {
		if k < len(costs) && costs[k] <= limit || k >= len(costs) && cost(i) <= limit {
			among[n] = i
			n++
		}
	}
	if n == 1 {
		return among[0]
	}
	return turn(q, among[:n])
}

// turn gives the member whose turn it is: of equal weights the one that has waited longest, else
// one drawn by weight. Counting draws as round robin does would fall in step with how the
// candidates change: of members that are busy by turns one would never have its turn.
func turn(q *Question, equals []int) int {
	best, longest := equals[q.Draw%uint64(len(equals))], time.Duration(0)
	first, total, equal := weightOf(q, equals[0]), 0.0, true
	for _, i := range equals {
		if waited := q.Loads[i].Idle; waited > longest {
			best, longest = i, waited
		}
		w := weightOf(q, i)
		total += w
		equal = equal && w == first
	}
	if equal {
		return best
	}
	left := total * uniform(mix(q.Draw))
	for _, i := range equals {
		if left -= weightOf(q, i); left < 0 {
			return i
		}
	}
	return equals[len(equals)-1]
}
