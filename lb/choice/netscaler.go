package choice

// NetScaler is the vendor's LEASTRESPONSETIME: the member with the lowest
//
//	N = requests in flight x TTFB / weight
//
// wins, ties rotate, and while q.Startup holds all go by round robin. TTFB is that of answers with
// status 200 alone, over all classes of requests. It is here to be what it was: a member without
// requests in flight has N = 0 whatever its TTFB, one that fails at once never has any in flight,
// and the TTFB is up to two refreshes old. (docs.netscaler.com, "Least response time method";
// CTX108886.)
func NetScaler(q *Question, among []int) int {
	if q.Startup {
		return RoundRobin(q, among)
	}
	return cheapest(q, among, 1, func(i int) float64 { return netScalerCost(q, i) })
}

func netScalerCost(q *Question, i int) float64 {
	return float64(max(0, q.Loads[i].InFlight)) * float64(q.Loads[i].OK200) / weightOf(q, i)
}
