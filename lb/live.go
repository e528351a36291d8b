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
}

type livePool struct {
	poolTable
	*poolState
	ups     []*upstream
	metrics []memberMetrics
	// Names as they stand in the access log.
	jsonName    []byte
	jsonMembers [][]byte
}

// poolState is what a pool keeps over reloads.
type poolState struct {
	stick          *stickTable
	draws          atomic.Uint64 // one for every request that needs a member
	retries        prometheus.Counter
	refusedRetries prometheus.Counter
	budget         retryBudget
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

// fillStates reads the members' health from one snapshot.
func (lp *livePool) fillStates(q *choice.Question, snap *healthcheck.Snapshot) {
	q.States = q.States[:0]
	for i := range lp.members {
		q.States = append(q.States, snap.Member(lp.members[i].check))
	}
}

// fill reads all that Pick wants to know at now.
func (lp *livePool) fill(q *choice.Question, snap *healthcheck.Snapshot, now int64) {
	lp.fillStates(q, snap)
	q.Method, q.Weights = lp.method, lp.weights
	q.Loads = q.Loads[:0]
	for _, u := range lp.ups {
		q.Loads = append(q.Loads, u.Load(now, q.Class))
	}
	if cap(q.Scratch) < len(lp.ups) {
		q.Scratch = make([]int, 0, len(lp.ups))
	}
}

// count records an answer of member (-1: the balancer's own). Status 0 is a closed connection.
func (t *target) count(member, status int) {
	if member < 0 {
		member = len(t.codes) - 1
	}
	t.codes[member][codeClass(status)].Inc()
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
