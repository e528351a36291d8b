package simulate

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// c3 ranks by R - 1/mu + q^3/mu: response time and service time as averages in which a new value
// weighs 0.9, q = 1 + requests in flight x balancers + the queue that the server reported. Its rate
// control is left out: it holds requests back, which a balancer may not.
type c3 struct {
	members
	turns
	nodes []c3Node
}

type c3Node struct{ response, service, queue float64 }

const c3Alpha = 0.9

func newC3(m members) rule { return &c3{members: m, nodes: make([]c3Node, len(m.inFlight))} }

func (r *c3) pick(int64, uint8) int {
	return r.least(r.up, func(i int) float64 {
		n := &r.nodes[i]
		q := 1 + float64(r.inFlight[i])*float64(r.balancers) + n.queue
		return n.response - n.service + q*q*q*n.service
	})
}

func (r *c3) ended(now int64, server int, e end) {
	r.members.ended(now, server, e)
	if e.status == 0 {
		return
	}
	n := &r.nodes[server]
	n.response += c3Alpha * (float64(e.took) - n.response)
	n.service += c3Alpha * (float64(e.served) - n.service)
	n.queue += c3Alpha * (float64(e.queued) - n.queue)
}

// hcl is the hot-cold rule of Prequal on what a balancer knows by itself, since its servers do not
// answer probes about their load: draw five; one is hot when its requests in flight are above the
// 0.84 quantile of all; take the cold one with the least latency, else the hot one with the fewest
// requests. Latency is an average of those requests that met about as many others as there are
// now; a failure adds 2 s to it, which decay.
type hcl struct {
	members
	nodes  []hclNode
	counts []int // servers by their requests in flight
	drawn  [hclDraws]int
}

const (
	hclDraws    = 5
	hclQuantile = 0.84
	hclBands    = 12 // requests in flight by powers of two
	hclAlpha    = 0.1
	hclPenalty  = 2 * time.Second
	hclTau      = 10 * time.Second
)

type hclNode struct {
	latency [hclBands]float64
	penalty float64
	stamp   int64
}

func newHCL(m members) rule {
	return &hcl{members: m, nodes: make([]hclNode, len(m.inFlight))}
}

func band(n int32) int { return min(hclBands-1, bits.Len32(uint32(max(0, n)))) } // #nosec G115 -- not negative

// latencyAt is the average at like load, else at the nearest load that has one.
func (n *hclNode) latencyAt(now int64, inFlight int32) float64 {
	l, at := 0.0, band(inFlight)
	for d := range hclBands {
		if at-d >= 0 && n.latency[at-d] > 0 {
			l = n.latency[at-d]
			break
		}
		if at+d < hclBands && n.latency[at+d] > 0 {
			l = n.latency[at+d]
			break
		}
	}
	if n.penalty > 0 {
		l += n.penalty * math.Exp(-float64(now-n.stamp)/float64(hclTau))
	}
	return l
}

// hotAbove is the quantile of requests in flight over all that are up.
func (r *hcl) hotAbove() int32 {
	rank := int(math.Ceil(hclQuantile*float64(len(r.up)))) - 1
	r.counts = r.counts[:0]
	for _, i := range r.up {
		n := int(r.inFlight[i])
		for len(r.counts) <= n {
			r.counts = append(r.counts, 0)
		}
		r.counts[n]++
	}
	for n, c := range r.counts {
		if rank -= c; rank < 0 {
			return int32(n) // #nosec G115 -- requests in flight
		}
	}
	return 0
}

func (r *hcl) pick(now int64, _ uint8) int {
	hot := r.hotAbove()
	best, bestHot, least := -1, true, 0.0
	for _, i := range r.draw() {
		n := r.inFlight[i]
		isHot, v := n > hot, float64(n)
		if !isHot {
			v = r.nodes[i].latencyAt(now, n)
		}
		if best < 0 || bestHot && !isHot || bestHot == isHot && v < least {
			best, bestHot, least = i, isHot, v
		}
	}
	return best
}

// draw gives up to five different servers.
func (r *hcl) draw() []int {
	drawn := r.drawn[:0]
	for len(drawn) < min(hclDraws, len(r.up)) {
		if i := r.up[r.chance.IntN(len(r.up))]; !slices.Contains(drawn, i) {
			drawn = append(drawn, i)
		}
	}
	return drawn
}

func (r *hcl) ended(now int64, server int, e end) {
	r.members.ended(now, server, e)
	n := &r.nodes[server]
	if e.status != 500 {
		n.learn(band(e.met), float64(e.took))
	}
	if e.status != 200 {
		n.punish(now)
	}
}

func (n *hclNode) learn(at int, v float64) {
	if n.latency[at] == 0 {
		n.latency[at] = v
		return
	}
	n.latency[at] += hclAlpha * (v - n.latency[at])
}

func (n *hclNode) punish(now int64) {
	n.penalty = n.penalty*math.Exp(-float64(now-n.stamp)/float64(hclTau)) + float64(hclPenalty)
	n.stamp = now
}
