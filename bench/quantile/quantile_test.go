package quantile

import (
	"math"
	"testing"
)

func TestOf(t *testing.T) {
	v := []float64{4, 1, 3, 2}
	for q, want := range map[float64]float64{0: 1, .25: 1.75, .5: 2.5, 1: 4} {
		if got := Of(v, q); got != want {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
	if v[0] != 4 {
		t.Error("Of changed its argument: runs stay in the order of the rounds")
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("nothing has a median")
	}
}
