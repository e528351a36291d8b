package lb

import (
	"crypto/sha256"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"switchpoint/lb/choice"
	"switchpoint/lb/stick"
)

// maxStick bounds the persistence entries of all pools together: 50 MB.
const maxStick = 1 << 20

// persistence is how a pool knows a client again (LB3).
type persistence struct {
	kind        string
	keep        time.Duration // from the last use
	mask4       int           // bits of an address that tell clients apart
	mask6       int
	cookie      string
	secret      []byte // signs cookies; nil: the process's own
	spreadAbove int    // 0: no source is spread
}

// persistState is what a pool keeps of that over reloads.
type persistState struct {
	sticks  *stick.Table // of all pools
	mix     stick.Key    // makes the pool's keys its own
	sources *stick.Sources
	spread  prometheus.Counter
}

func newPersistState(pool string, sticks *stick.Table, spread prometheus.Counter) persistState {
	sum := sha256.Sum256([]byte("switchpoint lb pool " + pool))
	return persistState{sticks: sticks, mix: stick.Key(sum[:16]), sources: stick.NewSources(), spread: spread}
}

// visitor is who a request, or a connection, is from, and what its pool makes of that.
type visitor struct {
	addr   netip.Addr
	fields []byte // checked header lines; nil in tcp mode
	clock  int64  // seconds of the wall clock, which cookies carry

	known  knownBy
	member int       // that it is bound to, -1: to none
	source stick.Key // where known is bySource
	token  stick.Key // where there is one
	bearer bool      // there is
	stale  bool      // its cookie is to be written anew
	spread bool      // its source is far more than one client
}

// knownBy is what a visitor is known by in its pool.
type knownBy uint8

const (
	byNothing knownBy = iota
	bySource
	byToken
	byCookie
)

// recognise finds the member that a visitor is bound to, and how firmly, and extends that.
func (lp *livePool) recognise(v *visitor, q *choice.Question, now time.Duration) {
	p := &lp.persist
	v.known, v.member, v.bearer, v.stale, v.spread = byNothing, -1, false, false, false
	q.Bond = choice.Firm
	switch p.kind {
	case PersistSource:
		v.bySource(lp, now)
	case PersistCookie:
		v.known = byCookie
		v.member, v.stale = lp.cookies.read(v.fields, p.cookie, v.clock, p.keep)
	case PersistSession:
		if v.bearer = v.findToken(lp.mix); v.bearer {
			if id, ok := lp.sticks.Use(v.token, now, p.keep); ok {
				v.member = lp.indexOf(id)
			}
		}
		if v.known = byToken; v.member < 0 {
			q.Bond = choice.Loose
			if p.spreadAbove > 0 {
				v.spread = lp.sources.Count(lp.sourceKey(v.addr), now).Above(p.spreadAbove, len(lp.members))
			}
			if v.spread {
				lp.spread.Inc()
			} else {
				v.bySource(lp, now)
			}
		}
	}
	q.Persisted = v.member
}

func (v *visitor) bySource(lp *livePool, now time.Duration) {
	v.known, v.source = bySource, lp.sourceKey(v.addr)
	if id, ok := lp.sticks.Use(v.source, now, lp.persist.keep); ok {
		v.member = lp.indexOf(id)
	}
}

// bind makes a member, which is asked now, that of the visitor.
func (lp *livePool) bind(v *visitor, member int, now time.Duration) {
	if v.member == member {
		return
	}
	switch v.known {
	case bySource:
		lp.sticks.Bind(v.source, lp.ups[member].id, now, lp.persist.keep)
	case byCookie:
		v.stale = true
	default:
		return // a token is bound once it was found to be good
	}
	v.member = member
}

// accepted binds a token to the member that answered. One that is refused is not worth an entry:
// anybody can make up as many as he likes.
func (lp *livePool) accepted(v *visitor, member, status int, now time.Duration) {
	if v.bearer && (v.known != byToken || v.member != member) && status < 400 {
		lp.sticks.Bind(v.token, lp.ups[member].id, now, lp.persist.keep)
	}
}

// sourceKey is the key of all clients that one entry is for.
func (lp *livePool) sourceKey(a netip.Addr) stick.Key {
	bits := lp.persist.mask6
	if a.Is4() {
		bits = lp.persist.mask4
	}
	if prefix, err := a.Prefix(bits); err == nil {
		a = prefix.Addr()
	}
	return lp.own(a.As16())
}

// own makes a key the pool's: the same client has another entry in another pool.
func (s *persistState) own(k stick.Key) stick.Key {
	for i := range k {
		k[i] ^= s.mix[i]
	}
	return k
}
