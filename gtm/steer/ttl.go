package steer

import (
	"fmt"
	"math"
	"time"

	"switchpoint/healthcheck"
)

// settling is how long answers stay short after a pool went in or out: what went wrong once may go
// on, and clients should follow.
const settling = time.Minute

// foresight is something that will change by itself.
type foresight struct {
	at  time.Time // zero: nothing will
	why string
}

// expect notes something that clients should not miss, at a time to come.
func (m *making) expect(at time.Time, why string) {
	if !at.After(m.Now) {
		return
	}
	if m.expected.at.IsZero() || at.Before(m.expected.at) {
		m.expected = foresight{at, why}
	}
}

// keepFor decides for how long a client may keep the answer (GT6). The first row that applies:
//
//	what                                                               TTL
//	the all-down policy is in force                                    ttl_min
//	a pool went in or out, or the policy began or ended, < 60 s ago    ttl_min
//	a pool sheds, is strained by overload, or begins to shed           ttl_min
//	a member or pool is overloaded, draining or in maintenance         ttl_min
//	otherwise, with first = the earliest possible change               first, within ttl_min and ttl
//
// The earliest possible change is the least of how long the checks cannot turn their members
// (Status.Steady), the end of a failback delay, and the beginning or end of an override. Pools that
// operators or the mode have taken out do not count: their health changes no answer.
func (m *making) keepFor() {
	for _, w := range m.words {
		m.expect(w.Until, "the override of "+w.Owner+" ends")
	}
	for _, w := range m.coming.on(m.name) {
		m.expect(w.From, "the override of "+w.Owner+" begins")
	}
	if why := m.unsettled(); why != "" {
		m.wake(m.expected.at)
		m.ttl = wholeSeconds(m.TTLMin)
		m.ttlWhy = "ttl_min, because " + why
		return
	}
	steady, why := m.steady()
	if first, again := ahead(m.expected.at, m.Now, m.TTL); !again.IsZero() {
		m.wake(again)
		if first < steady {
			steady, why = first, m.expected.why+" at "+clock(m.expected.at)
		}
	}
	m.ttl, m.ttlWhy = m.within(steady, why)
}

// within puts the earliest possible change into the range of the name.
func (m *making) within(first time.Duration, why string) (uint32, string) {
	least, most := wholeSeconds(m.TTLMin), wholeSeconds(m.TTL)
	s := uint32(min(first/time.Second, math.MaxUint32))
	switch {
	case s >= most:
		return most, "ttl, as nothing can change sooner"
	case s <= least:
		return least, fmt.Sprintf("ttl_min, because %s (in %d s or more)", why, s)
	}
	return s, fmt.Sprintf("%s (in %d s or more; ttl_min is %d s, ttl %d s)", why, s, least, most)
}

// wholeSeconds rounds up: a TTL below one second would be none.
func wholeSeconds(d time.Duration) uint32 { return uint32((d + time.Second - 1) / time.Second) }

// unsettled says why clients should ask again soon; empty when they need not.
func (m *making) unsettled() string {
	if m.policy != "" {
		return "all members are down"
	}
	if end := m.past.changed.Add(settling); !m.past.changed.IsZero() && m.Now.Before(end) {
		m.wake(end)
		return fmt.Sprintf("a datacenter went in or out at %s, less than %d s ago", clock(m.past.changed), settling/time.Second)
	}
	for i := range m.pools() {
		v, dc := &m.pools()[i], m.name.pools[i].Datacenter
		switch {
		case v.shed > 0:
			return fmt.Sprintf("%s %s, %.0f %% of its clients go elsewhere", dc, v.cause, v.shed*100)
		case v.in && v.strained():
			return dc + " is overloaded"
		case v.cause == forMode:
			return dc + " " + v.cause.String()
		}
	}
	for i := range m.pools() {
		if why := m.worked(i); why != "" {
			return why
		}
	}
	return ""
}

// worked says what people or load do to a pool; empty when nothing.
func (m *making) worked(i int) string {
	v, p := &m.pools()[i], &m.name.pools[i]
	if v.verdict == otherMode {
		return ""
	}
	for j := range v.status {
		switch s := v.status[j].State; s {
		case healthcheck.Overloaded, healthcheck.Draining, healthcheck.Maintenance:
			return p.members[j].id + " is " + inState(s)
		}
	}
	return ""
}

func inState(s healthcheck.State) string {
	if s == healthcheck.Maintenance {
		return "in maintenance"
	}
	return s.String()
}

// steady is for how long no check can turn a member whose health matters.
func (m *making) steady() (time.Duration, string) {
	least, pool, member := healthcheck.MaxSteady, -1, 0
	for i := range m.pools() {
		v := &m.pools()[i]
		if v.verdict == forcedOut || v.verdict == otherMode {
			continue
		}
		for j := range v.status {
			if d := v.status[j].Steady; d < least {
				least, pool, member = d, i, j
			}
		}
	}
	if pool < 0 {
		return least, ""
	}
	st := &m.pools()[pool].status[member]
	return least, fmt.Sprintf("the next results may turn %s, which is %s", m.name.pools[pool].members[member].id, st.State)
}

// ahead gives for how long an answer may be kept that must not outlive a change at a time to come, and
// when that has to be worked out again: a view answers for a while, and the change comes nearer.
// Where the change is farther than any answer may be kept, that is when it is not any more.
//
//	remaining        kept for            again
//	>= most + 10 %   most                when most + 10 % are left
//	< most + 10 %    nine tenths of it   after one tenth, at least a second
//	change is near   nothing             at the change
func ahead(change, now time.Time, most time.Duration) (kept time.Duration, again time.Time) {
	if change.IsZero() {
		return most, time.Time{}
	}
	left := change.Sub(now)
	if far := most + most/10; left > far {
		return most, change.Add(-far)
	}
	step := max(time.Second, left/10)
	if step >= left {
		return 0, change
	}
	return left - step, now.Add(step)
}
