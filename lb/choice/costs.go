package choice

import (
	"fmt"
	"math"
	"time"
)

// Costs are what a method compares members by.
type Costs struct {
	// Of has the cost of each of the question's members: for the two that go by response time in
	// nanoseconds, else requests in flight for a weight of 1. Empty for a method that compares
	// nothing, as round robin.
	Of []float64
	// Equal is how many times the lowest cost a member may cost and still take its turn.
	Equal float64
	Time  bool // they are times
}

// CostsOf gives the costs of all members beside those named in among, which the method chooses
// between.
func CostsOf(q *Question, among []int) Costs {
	c := Costs{Equal: 1}
	var of func(i int) float64
	switch q.Method {
	case LeastResponseTimeName:
		field := FieldOf(q, among)
		of = func(i int) float64 { return field.Cost(q, i) }
		c.Equal, c.Time = 1+equalWithin, true
	case NetScalerName:
		if q.Startup {
			return c
		}
		of = func(i int) float64 { return netScalerCost(q, i) }
		c.Time = true
	case LeastConnectionsName:
		of = func(i int) float64 { return connectionsCost(q, i) }
	case FastestNodeName:
		of = func(i int) float64 { return nodeCost(q, i) }
	default:
		return c
	}
	for i := range q.Loads {
		c.Of = append(c.Of, of(i))
	}
	return c
}

// Lowest gives the member of among that costs least, -1 for none.
func (c *Costs) Lowest(among []int) int {
	best, least := -1, math.Inf(1)
	for _, i := range among {
		if len(c.Of) > 0 && c.Of[i] < least {
			best, least = i, c.Of[i]
		}
	}
	return best
}

// Text is the cost of a member in words, empty where there is none.
func (c *Costs) Text(i int) string {
	switch {
	case len(c.Of) == 0:
		return ""
	case c.Time:
		return fmt.Sprintf("%.2f ms", c.Of[i]/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f in flight for its weight", c.Of[i])
}
