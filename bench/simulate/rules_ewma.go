package simulate

import (
	"math"
	"time"
)

const (
	ewmaTau     = 10 * time.Second
	ewmaPenalty = 2 * time.Second
	// ewmaUnknown is Finagle's cost of a server without history that has a request already.
	ewmaUnknown = float64(math.MaxInt64 >> 16)
)

// peakEWMA is Finagle's: an average over time that jumps to any larger value at once and decays
// whenever it is looked at; times one more than the pending requests.
type peakEWMA struct {
	members
	turns
	nodes   []ewmaNode
	twos    bool
	penalty float64 // taken as the time of a failure; 0: failures count as they come
}

// ewmaNode is one server's average. Decay is the same for all, so costs are kept as what they
// would have been at time 0, and compared without computing it.
type ewmaNode struct {
	cost  float64 // ns x exp(stamp / tau)
	stamp int64   // when it was last looked at
}

func newPeakEWMA(m members) rule {
	return &peakEWMA{members: m, nodes: make([]ewmaNode, len(m.inFlight))}
}

func newTwoPeakEWMA(m members) rule {
	return &peakEWMA{members: m, nodes: make([]ewmaNode, len(m.inFlight)), twos: true}
}

func newTwoPeakPenalty(m members) rule {
	return &peakEWMA{members: m, nodes: make([]ewmaNode, len(m.inFlight)), twos: true, penalty: float64(ewmaPenalty)}
}

// observe takes one value in.
func (n *ewmaNode) observe(now int64, v float64) {
	scale := math.Exp(float64(now) / float64(ewmaTau))
	if v *= scale; v > n.cost {
		n.cost = v
	} else {
		n.cost += v * (1 - math.Exp(-float64(now-n.stamp)/float64(ewmaTau)))
	}
	n.stamp = now
}

// load is the cost as of time 0. Finagle takes in a zero whenever it looks, which is decay.
func (r *peakEWMA) load(now int64, i int) float64 {
	n := &r.nodes[i]
	n.stamp = now
	if n.cost == 0 && r.inFlight[i] != 0 {
		return ewmaUnknown + float64(r.inFlight[i])
	}
	return n.cost * float64(r.inFlight[i]+1)
}

func (r *peakEWMA) pick(now int64, _ uint8) int {
	if !r.twos {
		return r.least(r.up, func(i int) float64 { return r.load(now, i) })
	}
	a, b := r.two()
	if r.load(now, b) < r.load(now, a) {
		return b
	}
	return a
}

func (r *peakEWMA) ended(now int64, server int, e end) {
	r.members.ended(now, server, e)
	v := float64(e.took)
	if e.status != 200 {
		v = max(v, r.penalty)
	}
	r.nodes[server].observe(now, v)
}
