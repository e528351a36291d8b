package lb

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/healthcheck"
	"switchpoint/lb/choice"
)

// live is a table joined to the state that outlives tables. It is immutable; what it points to
// is not.
type live struct {
	listeners []*liveListener
	pools     []*livePool
}

type liveListener struct {
	listenerTable
	n int // of the listener
	// targets are the pools that requests may be sent to: the listener's own first, then those of
	// its routes.
	targets  []target
	byPool   map[int]int // index in Table.pools -> in targets
	cookies  []string    // that its pools know clients by
	log      *accessLog  // nil: none
	jsonName []byte
}

// target is a pool as one listener uses it.
type target struct {
	*livePool
	// codes counts answers by class, per member; the last row is for answers without one.
	codes [][codeClasses]prometheus.Counter
	// tcp counts connections in place of codes, where the listener is in tcp mode.
	tcp []tcpSeries
	// backup serves while no member of the pool can; nil: none does.
	backup *target
}

type livePool struct {
	poolTable
	*poolState
	ups     []*upstream
	metrics []memberMetrics
	backup  *livePool     // nil: none
	cookies *cookieWriter // nil: the pool has no cookies
	// over is what operators say of the members now; nil: nothing.
	over atomic.Pointer[overlay]
	// Names as they stand in the access log.
	jsonName    []byte
	jsonMembers [][]byte
	// nodes are, for each member, all upstreams on its node, for the method "fastest-node".
	nodes [][]*upstream
}

// poolState is what a pool keeps over reloads.
type poolState struct {
	persistState
	draws          atomic.Uint64 // one for every request that needs a member
	retries        prometheus.Counter
	refusedRetries prometheus.Counter
	budget         retryBudget
	queue          queue
	waits          atomic.Int64  // those who wait for a place, here or at one member
	came           atomic.Uint64 // those who ever did
	waitEnds       queueMetrics
	lastMethod     string         // of the table before
	startup        choice.Startup // of the method "netscaler-least-response-time"
	tunnels        atomic.Int64
	tunnelUp       atomic.Int64 // bytes from clients
	tunnelDown     atomic.Int64
}

// indexOf finds a member by its id; -1 when the pool has it no more.
func (lp *livePool) indexOf(id uint32) int {
	for i, u := range lp.ups {
		if u.id == id {
			return i
		}
	}
	return -1
}

// fillStates reads the members' health from one snapshot, with what operators say over it.
func (lp *livePool) fillStates(q *choice.Question, snap *healthcheck.Snapshot) {
	q.States = q.States[:0]
	over := lp.over.Load()
	for i := range lp.members {
		s := snap.Member(lp.members[i].check)
		if over != nil {
			s = over.members[i].over(s)
		}
		q.States = append(q.States, s)
	}
	if q.Weights = lp.weights; over != nil {
		q.Weights = over.weights
	}
}

// fill reads all that Pick wants to know at now.
func (lp *livePool) fill(q *choice.Question, snap *healthcheck.Snapshot, now int64) {
	lp.fillStates(q, snap)
	q.Method = lp.method
	q.Priorities, q.MinActive, q.SlowStart, q.PanicPercent = lp.priorities, lp.minActive, lp.slowStart, lp.panicPercent
	q.Loads = q.Loads[:0]
	for i := range lp.ups {
		q.Loads = append(q.Loads, lp.load(q, i, now))
	}
	if cap(q.Scratch) < len(lp.ups) {
		q.Scratch = make([]int, 0, len(lp.ups))
	}
}

// load is what the balancer knows of a member at now; its state is filled in.
func (lp *livePool) load(q *choice.Question, i int, now int64) choice.Load {
	u := lp.ups[i]
	l := u.Load(now, q.Class)
	l.Since, l.Full = u.since(now, q.States[i].State), u.full()
	return l
}

// count records an answer of member (-1: the balancer's own). Status 0 is a closed connection.
func (t *target) count(member, status int) {
	class := codeClass(status)
	if member < 0 {
		member = len(t.codes) - 1
	} else {
		t.ups[member].answers[class].Add(1)
	}
	t.codes[member][class].Inc()
}

// own is the listener's pool for what no route takes.
func (l *liveListener) own() *target { return &l.targets[0] }

// target is the pool that a route leads to.
func (l *liveListener) target(r *pathRoute) *target {
	if r == nil || r.redirect != nil {
		return l.own()
	}
	return &l.targets[l.byPool[r.pool]]
}
