package outage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// local serves from the files of this broker. The store over cache.db does what it does for a broker of
// its own; the journal has every act of it before the caller has its answer.
type local struct {
	cache *sqlite.Store
	node  *node
}

// errPooled is said to who wants a desktop out of a pool.
var errPooled = fmt.Errorf("%w: pooled desktops are given out again when the database is back; only those in use go on", broker.ErrNoDesktop)

func (l *local) login(ctx context.Context, r broker.LoginRecord) (broker.LoginOutcome, error) {
	if r.Ticket != "" { // that it is spent once only the database can say (RD8)
		return broker.LoginOutcome{}, fmt.Errorf("%w: a ticket needs the database", broker.ErrTicketUsed)
	}
	out, err := l.cache.Login(ctx, r)
	if err != nil {
		return out, err
	}
	act := broker.Act{Kind: broker.ActLog, At: time.Now().UTC(), Log: &r.Log}
	switch {
	case out.Session != nil:
		act = sessionAct(r, *out.Session)
	case r.NewSession != nil:
		refused := r.Log.Refused(r.NewSession.EmptyCode)
		act.Log = &refused
	}
	if out.Replayed { // journalled by the login that it repeats, unless the process died between the two
		act.Log = nil
		if out.Session == nil {
			return out, nil
		}
	}
	return out, l.node.journal(ctx, act)
}

// sessionAct is the act of a login that made a session.
func sessionAct(r broker.LoginRecord, s broker.Session) broker.Act {
	a := broker.Act{
		Kind: broker.ActSession, At: s.Created, Session: &s, TokenHash: r.NewSession.TokenHash[:], Ends: s.Created.Add(r.NewSession.Life),
		Key: r.Key, KeyLife: r.KeyLife, Log: &r.Log,
	}
	if r.Key != "" {
		a.KeyMAC = r.KeyMAC[:]
	}
	return a
}

// session finds a session in the cache, else among the copies of those that were made before it was
// copied; that one is in the cache from then on.
func (l *local) session(ctx context.Context, tokenHash [32]byte) (broker.Session, error) {
	s, err := l.cache.Session(ctx, tokenHash)
	if !errors.Is(err, broker.ErrNotFound) {
		return s, err
	}
	a, err := l.node.session(ctx, tokenHash, time.Now())
	if err != nil {
		return broker.Session{}, err
	}
	if err := l.cache.MergeActs(ctx, []broker.Act{a}); err != nil {
		return broker.Session{}, err
	}
	return l.cache.Session(ctx, tokenHash)
}

// adopt makes a session known to the cache that another broker has vouched for. Nobody has a token to
// this row: that broker is asked about the one that counts.
func (l *local) adopt(ctx context.Context, s broker.Session) error {
	hash := sha256.Sum256([]byte("adopted session " + s.ID))
	return l.cache.MergeActs(ctx, []broker.Act{{Kind: broker.ActSession, At: time.Now(), Session: &s, TokenHash: hash[:], Ends: s.Expires}})
}

func (l *local) offers(ctx context.Context, q broker.OfferQuery) ([]broker.Offer, error) {
	list, err := l.cache.Offers(ctx, q)
	if err != nil || q.Log == nil {
		return list, err
	}
	return list, l.log(ctx, *q.Log)
}

// candidates leaves out what nobody holds: see errPooled.
func (l *local) candidates(ctx context.Context, s broker.Session, offer broker.OfferID, limit int) ([]broker.Candidate, error) {
	list, err := l.cache.Candidates(ctx, s, offer, limit)
	if err != nil || offer.Desktop != "" || len(list) == 1 && list[0].Claimed {
		return list, err
	}
	return nil, errPooled
}

func (l *local) connect(ctx context.Context, r broker.ConnectRecord) (broker.Candidate, error) {
	if r.Offer.Desktop == "" {
		list, err := l.candidates(ctx, r.Session, r.Offer, 1)
		if err != nil {
			return broker.Candidate{}, err
		}
		r.Desktop = list[0].ID
	}
	if err := l.adopt(ctx, r.Session); err != nil {
		return broker.Candidate{}, err
	}
	c, err := l.cache.Connect(ctx, r)
	if err != nil {
		return c, err
	}
	r.Log.Desktop = c.Name
	return c, l.log(ctx, r.Log)
}

func (l *local) logout(ctx context.Context, id string, log broker.LogRow) (int, error) {
	n, err := l.cache.Logout(ctx, id, log)
	if err != nil && !errors.Is(err, broker.ErrNotFound) {
		return 0, err
	}
	// A session of another broker is unknown to the cache and ends all the same.
	return n, l.node.journal(ctx, broker.Act{Kind: broker.ActLogout, At: time.Now().UTC(), SessionID: id, Log: &log})
}

func (l *local) touch(ctx context.Context, id string, every time.Duration) error {
	if err := l.cache.TouchSession(ctx, id, every); err != nil {
		return err
	}
	return l.node.journal(ctx, broker.Act{Kind: broker.ActUse, At: time.Now().UTC(), SessionID: id})
}

func (l *local) log(ctx context.Context, row broker.LogRow) error {
	return l.node.journal(ctx, broker.Act{Kind: broker.ActLog, At: time.Now().UTC(), Log: &row})
}

// appendLog keeps the row where explain --ref finds it, too.
func (l *local) appendLog(ctx context.Context, row broker.LogRow) error {
	if err := l.cache.AppendLog(ctx, row); err != nil {
		return err
	}
	return l.log(ctx, row)
}
