package choice

// LeastConnections chooses the member with the fewest requests in flight for its weight: with
// weights 3 and 1 the first has three times as many. Ties rotate, so an idle pool is shared by
// weight too.
func LeastConnections(q *Question, among []int) int {
	return cheapest(q, among, 1, func(i int) float64 { return connectionsCost(q, i) })
}

func connectionsCost(q *Question, i int) float64 {
	return float64(max(0, q.Loads[i].InFlight)) / weightOf(q, i)
}

// FastestNode chooses the member on the node with the fewest requests in flight for the member's
// weight, whatever pool they belong to. So F5 defines "Fastest (node)": it never looks at time
// (F5 BIG-IP LTM: "based on the least number of current sessions").
func FastestNode(q *Question, among []int) int {
	return cheapest(q, among, 1, func(i int) float64 { return nodeCost(q, i) })
}

func nodeCost(q *Question, i int) float64 {
	return float64(max(0, q.Loads[i].NodeInFlight)) / weightOf(q, i)
}
