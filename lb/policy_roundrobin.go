package lb

// RoundRobin gives each member its weight's share of consecutive draws, spread out: a member of
// weight 3 beside one of weight 1 gets A A B A rather than A A A B.
func RoundRobin(q *Question, among []int) int {
	total := uint64(0)
	equal := true
	for _, i := range among {
		total += uint64(weightOf(q, i))
		equal = equal && weightOf(q, i) == weightOf(q, among[0])
	}
	if equal {
		return among[q.Draw%uint64(len(among))]
	}
	pos := q.Draw % total * stride(total) % total
	for _, i := range among {
		w := uint64(weightOf(q, i))
		if pos < w {
			return i
		}
		pos -= w
	}
	return among[0]
}

// stride is a step near the golden section of n that shares no factor with it: stepping by it
// visits every position once per n draws, neighbours far apart.
func stride(n uint64) uint64 {
	for s := n*618/1000 + 1; s < n; s++ {
		if gcd(s, n) == 1 {
			return s
		}
	}
	return 1
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
