package lb

import (
	"sync/atomic"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/lb/choice"
)

// away in places.back: the member cannot take new clients now.
const away = -1

// places is how many requests a member has and may have, and since when it can take new ones.
//
//	            down, draining, maintenance, overloaded
//	always -----------------------------------------------> away
//	                                                         |  up
//	           back: its share grows for slow_start <--------'
type places struct {
	held atomic.Int64
	most atomic.Int64 // 0: any number
	back atomic.Int64 // when it came back; 0: it was always there; away
}

// full says whether there is no place left.
func (p *places) full() bool {
	most := p.most.Load()
	return most > 0 && p.held.Load() >= most
}

// hold takes a place. Of several at once none is refused while there is one.
func (p *places) hold() bool {
	for {
		n, most := p.held.Load(), p.most.Load()
		if most > 0 && n >= most {
			return false
		}
		if p.held.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// since notes what state the member is in, and gives how long it is back; 0: it was always there.
func (p *places) since(now int64, s healthcheck.State) time.Duration {
	back := p.back.Load()
	switch s {
	case healthcheck.Up:
		if back == away && p.back.CompareAndSwap(away, now) {
			back = now
		}
	case healthcheck.Unknown:
	default:
		if back != away {
			p.back.Store(away)
		}
		return 0
	}
	if back <= 0 {
		return 0
	}
	return time.Duration(max(1, now-back))
}

// enter counts a request in at a member, if there is a place.
func (u *upstream) enter(now int64, class choice.Class, trial time.Duration) bool {
	if !u.hold() {
		return false
	}
	u.Begin(now, class, trial)
	return true
}

// left counts a request out of a member, and hands its place on.
func (lp *livePool) left(u *upstream, now int64, class choice.Class) {
	u.End(now, class)
	u.held.Add(-1)
	u.queue.kick()
	lp.queue.kick()
}

// look notes the members' states where no request does, and lets those who wait look: a member
// may have come up, or be no more shunned.
func (p *Proxy) look(lp *livePool) {
	snap, now, over := p.snapshot(), p.now(), lp.over.Load()
	for i, u := range lp.ups {
		s := snap.Member(lp.members[i].check)
		if over != nil {
			s = over.members[i].over(s)
		}
		u.since(now, s.State)
	}
	lp.wakeAll()
}
