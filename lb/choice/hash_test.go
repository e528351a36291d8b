package choice

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"switchpoint/healthcheck"
)

// TestHashStability: a member that leaves moves its own clients only, by weight, and when it comes
// back all is as before; a member that is added takes its share and nothing else moves.
func TestHashStability(t *testing.T) {
	const clients = 20000
	q := poolOf(HashName, 6)
	q.Weights = []int{1, 2, 3, 1, 2, 3}
	ask := func(q *Question) []int {
		out := make([]int, clients)
		for c := range out {
			q.Hash = HashKey(strconv.AppendInt([]byte("client "), int64(c), 10))
			q.Draw += 7 // of no consequence
			out[c], _ = Pick(q)
		}
		return out
	}
	before := ask(&q)
	for gone := range q.Weights {
		q.States[gone].State = healthcheck.Down
		after := ask(&q)
		q.States[gone].State = healthcheck.Up
		got, left := make([]int, 6), 0
		for c := range after {
			if after[c] == gone {
				t.Fatal("picked a member that is down")
			}
			if before[c] != gone {
				if after[c] != before[c] {
					t.Fatalf("member %d left: client %d moved from %d to %d", gone, c, before[c], after[c])
				}
				continue
			}
			got[after[c]]++
			left++
		}
		for i, w := range q.Weights {
			if fair := float64(left*w) / float64(12-q.Weights[gone]); i != gone && math.Abs(float64(got[i])-fair) > 5*math.Sqrt(fair) {
				t.Errorf("member %d left: %d of its clients went to %d, want about %.0f", gone, got[i], i, fair)
			}
		}
	}
	if !slices.Equal(before, ask(&q)) {
		t.Error("not the same clients after everybody came back")
	}
	// The order in the configuration does not matter, only the keys do.
	turned := poolOf(HashName, 6)
	turned.Weights = slices.Clone(q.Weights)
	slices.Reverse(turned.Weights)
	slices.Reverse(turned.Keys)
	for c, i := range ask(&turned) {
		if 5-i != before[c] {
			t.Fatal("another order of members moves clients")
		}
	}
}
