package lb

import (
	"fmt"
	"strings"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/lb/choice"
)

// Status is how the balancer stands, for those who operate it.
type Status struct {
	Listeners []ListenerStatus `json:"listeners"`
	Pools     []PoolStatus     `json:"pools"`
}

// ListenerStatus is one listener.
type ListenerStatus struct {
	Name        string `json:"name"`
	Address     string `json:"address"` // that is bound
	Mode        string `json:"mode"`
	TLS         bool   `json:"tls"`
	Pool        string `json:"pool"`        // for what no route takes
	Connections int    `json:"connections"` // of clients, open now
}

// PoolStatus is one pool.
type PoolStatus struct {
	Name   string `json:"name"`
	Method string `json:"method"`
	// Serving says who may take new clients; ServedBy is the pool that serves in the place of this
	// one, as none of its members can.
	Serving  string `json:"serving"`
	ServedBy string `json:"served_by,omitempty"`
	Backup   string `json:"backup,omitempty"`
	// Queued are the requests that wait for a place at a member, of at most QueueLimit.
	Queued     int64 `json:"queued"`
	QueueLimit int   `json:"queue_limit"`
	// Upgraded are the open connections that were upgraded (WebSocket).
	Upgraded int64          `json:"upgraded"`
	Members  []MemberStatus `json:"members"`
	// Listeners lead to the pool; those of which it is only the backup are not among them.
	Listeners   []string `json:"listeners"`
	Persistence string   `json:"persistence"`
}

// MemberStatus is one member.
type MemberStatus struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// State is what decisions go by: Health under what operators say. Why is the reason.
	State string `json:"state"`
	Why   string `json:"why"`
	// Standing is how far it comes in the choice for a client that nothing binds; Takes: it may
	// get one.
	Standing string `json:"standing"`
	Takes    bool   `json:"takes"`
	// Health is what the monitor measures since Since (zero: always), HealthWhy the reason.
	Health    string    `json:"health"`
	HealthWhy string    `json:"health_why"`
	Since     time.Time `json:"since,omitzero"`
	// Mode is in which mode the member says that it works, since ModeSince; empty: it says none.
	Mode      string    `json:"mode,omitempty"`
	ModeSince time.Time `json:"mode_since,omitzero"`
	// Words are what operators say of the member now, Drain how far that has come.
	Words  []Word `json:"words,omitempty"`
	Drain  string `json:"drain,omitempty"`
	Weight int    `json:"weight"` // in force
	// AsksFor is the part of the weight that the member's agent asks for, in percent; 0: it says nothing.
	AsksFor    int `json:"asks_for,omitempty"`
	Configured int `json:"configured_weight"`
	Priority   int `json:"priority"`
	// InFlight are its requests, or connections of tcp listeners, of at most MaxInFlight (0: any
	// number). Bound are the clients that come back to it; cookies are not counted.
	InFlight    int64 `json:"in_flight"`
	MaxInFlight int   `json:"max_in_flight"`
	Queued      int64 `json:"queued"` // waiting for a place at this very member
	Bound       int   `json:"bound"`
	// TTFB are the averages by class of requests, in seconds; a class without a sample is left out.
	TTFB    map[string]float64 `json:"ttfb"`
	Failing float64            `json:"failing"` // part of its latest requests, 0 to 1
	Shunned bool               `json:"shunned"` // connects to it failed lately
	// Back is how long it can serve again, in seconds, while its share still grows (slow_start).
	Back float64 `json:"back"`
	// Requests counts its answers by class of status code ("closed", "1xx" to "5xx"), over all
	// listeners since the member was added.
	Requests map[string]uint64 `json:"requests"`
	// Chosen is how often it was chosen since it was added, by the rule; Lately in the last minute,
	// by all of them.
	Chosen map[string]uint64 `json:"chosen"`
	Lately uint64            `json:"lately"`
}

// Status reads it all. It is dear: all persistence entries are counted.
func (p *Proxy) Status() Status {
	var st Status
	live := p.live.Load()
	if live == nil {
		return st
	}
	for i, l := range p.listeners {
		mode := modeHTTP
		if l.tcp {
			mode = modeTCP
		}
		st.Listeners = append(st.Listeners, ListenerStatus{
			Name: l.name, Address: l.ln.Addr().String(), Mode: mode, TLS: l.secure,
			Pool: live.listeners[i].own().name, Connections: l.conns.len(),
		})
	}
	bound := p.sticks.Counts(time.Duration(p.now())) // of all pools
	for _, lp := range live.pools {
		st.Pools = append(st.Pools, p.poolStatus(live, lp, bound))
	}
	return st
}

func (p *Proxy) poolStatus(live *live, lp *livePool, bound map[uint32]int) PoolStatus {
	snap, now := p.snapshot(), p.now()
	var q choice.Question
	lp.fill(&q, snap, now)
	serving, why := q.Serving(nil)
	ps := PoolStatus{
		Name: lp.name, Method: lp.method, Serving: why,
		Queued: lp.waits.Load(), QueueLimit: lp.maxWaiting, Upgraded: lp.tunnels.Load(),
		Persistence: lp.persist.kind, Listeners: live.leadTo(lp),
	}
	if lp.backup != nil {
		ps.Backup = lp.backup.name
	}
	for b := lp.backup; len(serving) == 0 && b != nil; b = b.backup {
		var bq choice.Question
		b.fillStates(&bq, snap)
		if serving, _ = healthcheck.Serving(nil, bq.States); len(serving) > 0 {
			ps.ServedBy = b.name
		}
	}
	standings, _ := choice.Standings(&q)
	for i := range lp.members {
		m := lp.memberStatus(&q, i, snap, now)
		m.Standing, m.Takes = standings[i].String(), standings[i] == choice.Candidate
		m.Bound = bound[lp.ups[i].id]
		m.Drain = m.drainage(time.Now())
		ps.Members = append(ps.Members, m)
	}
	return ps
}

func (lp *livePool) memberStatus(q *choice.Question, i int, snap *healthcheck.Snapshot, now int64) MemberStatus {
	m, u, health := &lp.members[i], lp.ups[i], snap.Member(lp.members[i].check)
	st := MemberStatus{
		Name: m.name, Address: m.address,
		State: q.States[i].State.String(), Why: q.States[i].Reason,
		Health: health.State.String(), HealthWhy: health.Reason, Since: health.Since,
		Mode: health.Load.Mode, ModeSince: health.ModeSince,
		Words: lp.holding(i), Weight: q.Weights[i], AsksFor: q.States[i].Load.Weight, Configured: lp.weights[i], Priority: lp.priority(i),
		InFlight: u.InFlight(), MaxInFlight: m.most, Queued: u.queue.depth.Load(),
		Failing: q.Loads[i].Failing, Shunned: q.Loads[i].Shunned,
		Back: lp.growing(q.Loads[i].Since).Seconds(),
		TTFB: make(map[string]float64), Requests: make(map[string]uint64),
		Chosen: make(map[string]uint64), Lately: u.chosen.lately(),
	}
	u.chosen.each(func(by string, n uint64) {
		if n > 0 {
			st.Chosen[by] = n
		}
	})
	for class := range len(lp.classes) + 1 {
		c := choice.Class(class) // #nosec G115 -- few
		if t := u.Load(now, c).TTFB; t > 0 {
			st.TTFB[lp.classes.name(c)] = t.Seconds()
		}
	}
	for class := range u.answers {
		if n := u.answers[class].Load(); n > 0 {
			st.Requests[codeName(class)] = n
		}
	}
	return st
}

// drainage says how far the drain of a member has come.
func (m *MemberStatus) drainage(now time.Time) string {
	var verb string
	var deadline time.Time
	for _, w := range m.Words {
		switch {
		case w.Do == Disable:
			verb = "disabled"
		case w.Do == Drain:
			verb, deadline = "drained", w.Deadline
		case w.Weight == 0 && verb == "":
			verb = "weight 0"
		}
	}
	if verb == "" {
		return ""
	}
	left := []string{fmt.Sprintf("%d in flight", m.InFlight)}
	switch {
	case verb == "disabled", !deadline.IsZero() && !now.Before(deadline):
		left = append(left, "nobody may come any more")
	case m.Bound > 0 && !deadline.IsZero():
		left = append(left, fmt.Sprintf("%d bound clients left until %s", m.Bound, deadline.UTC().Format("15:04:05 UTC")))
	default:
		left = append(left, fmt.Sprintf("%d bound clients left", m.Bound))
	}
	return verb + ": " + strings.Join(left, ", ")
}

// priority is a member's group.
func (lp *livePool) priority(i int) int {
	if lp.priorities == nil {
		return 0
	}
	return lp.priorities[i]
}

// growing is how long a member is back while its share still grows, else 0.
func (lp *livePool) growing(since time.Duration) time.Duration {
	if since >= lp.slowStart {
		return 0
	}
	return since
}

// measured is the health of a member that the word of an operator stands before, else empty.
func (lp *livePool) measured(i int, snap *healthcheck.Snapshot) string {
	if over := lp.over.Load(); over == nil || len(over.members[i].words) == 0 {
		return ""
	}
	return snap.Member(lp.members[i].check).State.String()
}

// leadTo gives the listeners that send requests to a pool by themselves.
func (l *live) leadTo(lp *livePool) (names []string) {
	for _, ll := range l.listeners {
		if ll.toHTTPS != nil {
			continue
		}
		for _, n := range ll.pools() {
			if l.pools[n] == lp {
				names = append(names, ll.name)
			}
		}
	}
	return names
}

// waiting is how many requests wait for a place at this very member, or for any.
func (ps *PoolStatus) waiting(m *MemberStatus) string {
	if m.Queued == 0 && ps.Queued == 0 {
		return "nobody waits"
	}
	return fmt.Sprintf("%d requests wait for it alone, %d of at most %d for a place in the pool", m.Queued, ps.Queued, ps.QueueLimit)
}
