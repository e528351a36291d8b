package lb

import (
	"fmt"
	"net/netip"
	"time"

	"switchpoint/lb/choice"
)

// explainPersistence does for a client without cookie and token what recognise does, and says why.
// It changes nothing.
func (lp *livePool) explainPersistence(e *Explanation, q *choice.Question, client netip.Addr, now time.Duration) {
	p := &lp.persist
	q.Persisted, q.Bond = -1, choice.Firm
	switch p.kind {
	case PersistCookie:
		e.Persistence = "cookie: this client is taken as one without"
		return
	case PersistSession:
		q.Bond = choice.Loose
		if p.spreadAbove > 0 {
			share := lp.sources.Look(lp.sourceKey(client), now)
			if share.Above(p.spreadAbove, len(lp.members)) {
				e.Persistence = fmt.Sprintf("session, without one the source address; this source is spread: it brings %.0f of the latest %.0f requests without a session, more than %d times its fair share of %.1f",
					share.Requests, share.Total, p.spreadAbove, share.Fair(len(lp.members)))
				return
			}
		}
	case PersistNone:
		e.Persistence = "none"
		return
	}
	key := lp.sourceKey(client)
	id, left, ok := lp.sticks.Peek(key, now)
	if ok {
		q.Persisted = lp.indexOf(id)
	}
	what := p.kind
	if p.kind == PersistSession {
		what = "session, without one the source address"
	}
	switch {
	case !ok:
		e.Persistence = what + "; this one is new"
	case q.Persisted < 0:
		e.Persistence = what + "; the member that this one had has left the pool"
	default:
		e.PersistedFor = left
		e.Persistence = fmt.Sprintf("%s; %s left", what, left.Truncate(time.Second))
	}
}
