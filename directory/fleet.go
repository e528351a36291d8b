package directory

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// fleet is the servers of the directory and the orders in which they are tried. It never changes.
type fleet struct {
	servers []*server
	orders  [][]*server // taken in turn
}

// place is where a server stands (RFC 2782): those of a lower priority first, those of one
// priority in proportion to their weights.
type place struct{ priority, weight int }

// maxOrders bounds the orders of a fleet, and with it how exactly weights are met.
const maxOrders = 128

// newFleet makes the orders. In turn: one order for each part of the weights, mixed; else a single
// order, in which servers of one priority stand as their weights and draw (which gives a number
// from 0 up to below its argument) have it, so that not every broker begins with the same one.
func newFleet(servers []*server, places []place, inTurn bool, draw func(int) int) *fleet {
	f := &fleet{servers: servers}
	if len(servers) == 0 {
		return f
	}
	count := 1
	if inTurn {
		count = min(maxOrders, round(places))
	}
	credit := make([]int, len(servers))
	for range count {
		order := arrange(places, credit, inTurn, draw)
		list := make([]*server, len(order))
		for i, at := range order {
			list[i] = servers[at]
		}
		f.orders = append(f.orders, list)
	}
	return f
}

// round is after how many turns each server of the first priority has had its share.
func round(places []place) int {
	first := slices.MinFunc(places, func(a, b place) int { return a.priority - b.priority }).priority
	sum, divisor := 0, 0
	for _, p := range places {
		if p.priority == first {
			sum += max(1, p.weight)
			divisor = gcd(divisor, max(1, p.weight))
		}
	}
	return sum / divisor
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// arrange gives one order of the places. In turn, the first of each priority is who has most
// credit, and pays for it: smooth weighted round-robin, as nginx does.
func arrange(places []place, credit []int, inTurn bool, draw func(int) int) []int {
	order := make([]int, len(places))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return places[a].priority - places[b].priority })
	for begin := 0; begin < len(order); {
		end := begin + 1
		for end < len(order) && places[order[end]].priority == places[order[begin]].priority {
			end++
		}
		if group := order[begin:end]; inTurn {
			takeTurns(group, places, credit)
		} else {
			shuffle(group, places, draw)
		}
		begin = end
	}
	return order
}

func takeTurns(group []int, places []place, credit []int) {
	sum, first := 0, 0
	for i, at := range group {
		w := max(1, places[at].weight)
		credit[at] += w
		sum += w
		if credit[at] > credit[group[first]] {
			first = i
		}
	}
	credit[group[first]] -= sum
	chosen := group[first]
	slices.SortStableFunc(group, func(a, b int) int {
		switch {
		case a == chosen:
			return -1
		case b == chosen:
			return 1
		}
		return credit[b] - credit[a]
	})
}

// shuffle draws one after the other in proportion to the weights (RFC 2782, page 4); equal places
// that nobody gave a weight keep their order.
func shuffle(group []int, places []place, draw func(int) int) {
	if !slices.ContainsFunc(group, func(at int) bool { return places[at].weight > 0 }) {
		return
	}
	for begin := range group {
		sum := 0
		for _, at := range group[begin:] {
			sum += places[at].weight
		}
		pick, n := begin, draw(sum+1)
		for i, at := range group[begin:] {
			if n -= places[at].weight; n <= 0 {
				pick = begin + i
				break
			}
		}
		group[begin], group[pick] = group[pick], group[begin]
	}
}

// turns hands out the orders of a fleet.
type turns struct{ n atomic.Uint64 }

func (t *turns) order(f *fleet) []*server {
	switch len(f.orders) {
	case 0:
		return nil
	case 1:
		return f.orders[0]
	}
	return f.orders[(t.n.Add(1)-1)%uint64(len(f.orders))]
}

func drawRandom(n int) int { return rand.IntN(n) }
