package lb

import (
	"errors"
	"slices"
	"time"

	"switchpoint/lb/choice"
)

// Why is why a member gets what it gets, or nothing (LB8).
type Why struct {
	Pool   PoolStatus // without its members
	Member MemberStatus
	// Standing is how far the member comes in the choice for a client that nothing binds, Rule what
	// the choice then goes by.
	Standing choice.Standing
	Rule     string
	// Lately is how often any member of the pool was chosen in the last minute.
	Lately uint64
	// BackupOf names the pools that this one stands in for while none of their members can serve.
	BackupOf []string
	// Ramp is the part of its weight that the member has (slow_start), 0 to 1.
	Ramp float64
	// Asked is the part of its weight that the member's agent asks for, in percent; 0: it says nothing.
	Asked int
	// InUse is the lowest priority that serves now.
	InUse int
	Costs []ClassCost
	// Nobody is true when no member of the pool may take new clients.
	Nobody bool
}

// Takes says whether the member may get a client that nothing binds.
func (w Why) Takes() bool { return w.Standing == choice.Candidate }

// ClassCost compares a member with the one that costs least, for one class of requests.
type ClassCost struct {
	Class string // empty where the method knows no classes
	Cost  string
	// Best is the member that costs least, BestCost what; Times how many times that this one costs.
	Best, BestCost string
	Times          float64
	Equal          bool // close enough to take its turn
}

// Why tells of a member, by its name or address. It changes nothing.
func (p *Proxy) Why(pool, member string) (Why, error) {
	live := p.live.Load()
	if live == nil {
		return Why{}, errors.New("the balancer has no configuration yet; try again when it serves")
	}
	address, err := live.address(pool, member)
	if err != nil {
		return Why{}, err
	}
	lp := live.pools[slices.IndexFunc(live.pools, func(lp *livePool) bool { return lp.name == pool })]
	i := slices.IndexFunc(lp.members, func(m memberTable) bool { return m.address == address })
	now := p.now()
	var q choice.Question
	lp.fill(&q, p.snapshot(), now)
	q.Draw = lp.draws.Load() + 1
	if lp.method == choice.NetScalerName {
		q.Startup = lp.startup.Holds(q.Draw)
	}
	standings, how := choice.Standings(&q)
	w := Why{
		Pool: p.poolStatus(live, lp, p.sticks.Counts(time.Duration(now))), Standing: standings[i], Rule: how.String(),
		Ramp: choice.Ramp(q.Loads[i].Since, q.SlowStart), BackupOf: live.backedUpBy(lp),
		Asked: max(0, q.States[i].Load.Weight),
	}
	w.Member = w.Pool.Members[i]
	w.Pool.Members, w.Nobody = nil, true
	var candidates []int
	for k, s := range standings {
		w.Nobody = w.Nobody && s == choice.NotServing
		w.Lately += lp.ups[k].chosen.lately()
		if s == choice.Candidate {
			candidates = append(candidates, k)
		}
	}
	for k, c := range candidates {
		if at := lp.priority(c); k == 0 || at < w.InUse {
			w.InUse = at
		}
	}
	w.Costs = lp.costs(&q, i, candidates, now)
	return w, nil
}

// costs compares a member with the candidates, by class where the method knows classes.
func (lp *livePool) costs(q *choice.Question, i int, candidates []int, now int64) (out []ClassCost) {
	classes := 1
	if lp.method == choice.LeastResponseTimeName {
		classes += len(lp.classes)
	}
	for class := range classes {
		q.Class = choice.Class(class) // #nosec G115 -- few
		for k := range lp.ups {
			q.Loads[k] = lp.load(q, k, now)
		}
		lp.fillNodes(q)
		costs := choice.CostsOf(q, candidates)
		best := costs.Lowest(candidates)
		if best < 0 {
			continue
		}
		c := ClassCost{Cost: costs.Text(i), Best: lp.members[best].name, BestCost: costs.Text(best), Times: 1}
		if classes > 1 {
			c.Class = lp.classes.name(q.Class)
		}
		if costs.Of[best] > 0 {
			c.Times = costs.Of[i] / costs.Of[best]
		}
		c.Equal = costs.Of[i] <= costs.Of[best]*costs.Equal
		out = append(out, c)
	}
	return out
}

// backedUpBy names the pools of which lp is the backup.
func (l *live) backedUpBy(lp *livePool) (names []string) {
	for _, other := range l.pools {
		if other.backup == lp {
			names = append(names, other.name)
		}
	}
	return names
}
