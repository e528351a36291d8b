package simulate

// roundRobin takes turns.
type roundRobin struct {
	members
	turns
}

func newTurns(m members) rule { return &roundRobin{members: m} }

func (r *roundRobin) pick(int64, uint8) int {
	i := r.after(len(r.up))
	r.next = i + 1
	return r.up[i]
}

// leastConn is HAProxy's leastconn: fewest connections, turns among equals.
type leastConn struct {
	members
	turns
}

func newLeastConn(m members) rule { return &leastConn{members: m} }

func (r *leastConn) pick(int64, uint8) int {
	return r.least(r.up, func(i int) float64 { return float64(r.inFlight[i]) })
}

// twoLeastConn draws two and takes the one with fewer connections.
type twoLeastConn struct{ members }

func newTwoLeastConn(m members) rule { return &twoLeastConn{m} }

func (r *twoLeastConn) pick(int64, uint8) int {
	a, b := r.two()
	if r.inFlight[b] < r.inFlight[a] {
		return b
	}
	return a
}
