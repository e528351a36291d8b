// Package quantile says where the middle and the edges of a benchmark's rounds lie.
package quantile

import (
	"math"
	"slices"
)

// Of gives the q-quantile of values (q from 0 to 1), between neighbours where it falls between two;
// NaN for none.
func Of(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	at := q * float64(len(v)-1)
	low := int(at)
	if low+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[low] + (at-float64(low))*(v[low+1]-v[low])
}

// Median is the 0.5-quantile.
func Median(values []float64) float64 { return Of(values, .5) }
