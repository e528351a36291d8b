package choice

import (
	"math"
	"time"
)

const (
	// costFloor is the smallest TTFB that counts: below it members are equal and the number in
	// flight decides.
	costFloor = time.Millisecond
	// idleHalfLife is how fast the memory of a member's slowness fades while it gets nothing.
	idleHalfLife = 10 * time.Second
	// idleGrace is how long a member may go unused before fading starts.
	idleGrace = time.Second
)

// LeastResponseTime chooses the member with the smallest Cost; ties rotate with the draw.
func LeastResponseTime(q *Question, among []int) int {
	field := FieldOf(q, among)
	best, ties, lowest := among[0], uint64(0), math.Inf(1)
	for _, i := range among {
		switch c := Cost(q.Loads[i], weightOf(q, i), field); {
		case c < lowest:
			best, ties, lowest = i, 1, c
		case c == lowest:
			ties++
		}
	}
	if ties < 2 {
		return best
	}
	nth := q.Draw % ties
	for _, i := range among {
		if Cost(q.Loads[i], weightOf(q, i), field) == lowest {
			if nth == 0 {
				return i
			}
			nth--
		}
	}
	return best
}

// Field is what the candidates look like together: it places those without a recent average.
type Field struct {
	// Mean is the mean of the known averages, Least the smallest; both 0 when none is known.
	Mean, Least time.Duration
}

func FieldOf(q *Question, among []int) Field {
	var f Field
	var sum time.Duration
	n := 0
	for _, i := range among {
		if t := q.Loads[i].TTFB; t > 0 {
			sum += t
			n++
			if f.Least == 0 || t < f.Least {
				f.Least = t
			}
		}
	}
	if n > 0 {
		f.Mean = sum / time.Duration(n)
	}
	return f
}

// Cost is the price of sending one more request to a member, in nanoseconds:
//
//	(TTFB + Penalty) x (1 + InFlight) / weight
//
// A member without a sample is taken as the mean of the others, so that it gets a fair share at
// once and not a flood. A slow member that gets nothing fades towards half of the best average:
// it is then tried again by one or two requests, which show what it is worth now.
func Cost(l Load, weight int, f Field) float64 {
	t := float64(l.TTFB)
	switch {
	case l.TTFB == 0:
		t = float64(f.Mean)
	case l.Idle > idleGrace:
		goal := float64(f.Least) / 2
		if t > goal {
			t = goal + (t-goal)*math.Exp2(-float64(l.Idle-idleGrace)/float64(idleHalfLife))
		}
	}
	t = max(t, float64(costFloor)) + float64(l.Penalty)
	return t * float64(1+max(0, l.InFlight)) / float64(weight)
}

func weightOf(q *Question, i int) int {
	return max(1, q.Weights[i])
}
