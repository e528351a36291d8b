package outage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
)

// local serves from the files of this broker. The store over cache.db does what it does for a broker of
// its own; the journal has every act of it before the caller has its answer.
type local struct {
	cache  *sqlite.Store
	node   *node
	copied time.Time // when the cache last had the state of the database
	served
}

// errPooled is said to who wants a desktop out of a pool.
var errPooled = fmt.Errorf("%w: pooled desktops are given out again when the database is back; only those in use go on", broker.ErrNoDesktop)

// ticketError is the ErrTicketUsed of a ticket of which nobody can say whether it was used: only the
// database knows that it is spent once (RD8).
type ticketError struct{}

func (ticketError) Error() string {
	return "a ticket cannot be taken while the database does not answer"
}
func (ticketError) Unwrap() error { return broker.ErrTicketUsed }

func (l *local) login(ctx context.Context, r broker.LoginRecord) (broker.LoginOutcome, error) {
	if r.Ticket != "" {
		return broker.LoginOutcome{}, ticketError{}
	}
	if err := l.leases.begin(ctx, &r); err != nil {
		return broker.LoginOutcome{}, err
	}
	out, err := l.cache.Login(ctx, r)
	if err != nil {
		return out, err
	}
	if out.Replayed {
		return l.repeated(ctx, out)
	}
	act := broker.Act{Kind: broker.ActLog, At: time.Now().UTC(), Log: &r.Log}
	switch {
	case out.Session != nil:
		act = sessionAct(r, *out.Session)
	case r.NewSession != nil:
		refused := r.Log.Refused(r.NewSession.EmptyCode)
		act.Log = &refused
	}
	return out, l.node.journal(ctx, act)
}

// repeated is a login that the journal has had, unless the process died between the two files: then
// nobody was told of its session, and none is made of it.
func (l *local) repeated(ctx context.Context, out broker.LoginOutcome) (broker.LoginOutcome, error) {
	if out.Session == nil {
		return out, nil
	}
	known, over, err := l.node.look(ctx, out.Session.ID)
	if err == nil && (!known || over) {
		err = fmt.Errorf("the session of this idempotency key is not in the journal: %w", broker.ErrNotFound)
	}
	if err != nil {
		return broker.LoginOutcome{}, err
	}
	return out, nil
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

// session finds a session in the cache, else among the copies of those that were made after it was
// copied. One that has ended here since then has ended, whatever the cache says.
func (l *local) session(ctx context.Context, tokenHash [32]byte) (broker.Session, error) {
	s, err := l.cache.Session(ctx, tokenHash)
	if errors.Is(err, broker.ErrNotFound) {
		s, err = l.ownSession(ctx, tokenHash)
	}
	if err != nil {
		return broker.Session{}, err
	}
	if _, over, err := l.node.look(ctx, s.ID); err != nil || over {
		return broker.Session{}, cmp.Or(err, broker.ErrNotFound)
	}
	return s, nil
}

// ownSession brings what this broker knows of a session into the cache. One that was made before the
// cache was copied, and is not in it, has ended at another broker; one that is, may have been used since.
func (l *local) ownSession(ctx context.Context, tokenHash [32]byte) (broker.Session, error) {
	c, err := l.node.session(ctx, tokenHash, time.Now())
	if err != nil {
		return broker.Session{}, err
	}
	var acts []broker.Act
	if !c.kept.Before(l.told) {
		acts = append(acts, c.act)
	}
	if !c.used.IsZero() {
		acts = append(acts, broker.Act{Kind: broker.ActUse, At: c.used, SessionID: c.act.Session.ID})
	}
	if err := l.cache.MergeActs(ctx, acts); err != nil {
		return broker.Session{}, err
	}
	return l.cache.Session(ctx, tokenHash)
}

// adopt makes a session known to the cache that another broker has vouched for. Nobody has a token to
// this row: that broker is asked about the one that counts.
func (l *local) adopt(ctx context.Context, s broker.Session) error {
	hash := broker.AdoptedHash(s.ID)
	return l.cache.MergeActs(ctx, []broker.Act{{Kind: broker.ActSession, At: time.Now(), Session: &s, TokenHash: hash[:], Ends: s.Expires.Add(broker.AdoptedLife)}})
}

func (l *local) offers(ctx context.Context, q broker.OfferQuery) ([]broker.Offer, error) {
	if err := l.leases.bring(ctx, q.Who); err != nil {
		return nil, err
	}
	list, err := l.cache.Offers(ctx, q)
	if err != nil || q.Log == nil {
		return list, err
	}
	return list, l.log(ctx, *q.Log)
}

// candidates leaves out what nobody holds: see errPooled.
func (l *local) candidates(ctx context.Context, s broker.Session, offer broker.OfferID, limit int) ([]broker.Candidate, error) {
	if err := l.leases.allow(ctx, s, offer.Desktop, nil); err != nil {
		return nil, err
	}
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
	if err := l.leases.allow(ctx, r.Session, r.Offer.Desktop, &r.Log); err != nil {
		return broker.Candidate{}, err
	}
	if err := l.adopt(ctx, r.Session); err != nil {
		return broker.Candidate{}, err
	}
	c, err := l.cache.Connect(ctx, r)
	if err != nil {
		return c, err
	}
	act, err := l.connectAct(ctx, r, c)
	if err != nil {
		return c, err
	}
	return c, l.node.journal(ctx, act)
}

// connectAct is the act of a connect. One that repeats a key has written no row; it stands in the journal
// all the same, for the process may have died before the first one did.
func (l *local) connectAct(ctx context.Context, r broker.ConnectRecord, c broker.Candidate) (broker.Act, error) {
	act := broker.Act{Kind: broker.ActConnect, At: time.Now().UTC(), Session: &r.Session, Offer: r.Offer, Desktop: c.ID, Key: r.Key, KeyLife: r.KeyLife}
	if r.Key != "" {
		switch _, err := l.cache.LogByRef(ctx, r.Log.Ref); {
		case errors.Is(err, broker.ErrNotFound):
			return act, nil
		case err != nil:
			return act, err
		}
	}
	r.Log.Desktop = c.Name
	act.Log = &r.Log
	return act, nil
}

func (l *local) logout(ctx context.Context, id string, log broker.LogRow) (int, error) {
	n, err := l.cache.Logout(ctx, id, log)
	if err != nil && !errors.Is(err, broker.ErrNotFound) {
		return 0, err
	}
	act := broker.Act{Kind: broker.ActLogout, At: time.Now().UTC(), SessionID: id, Log: &log}
	if err != nil { // a session of another broker is unknown to the cache, and ends all the same
		if err := l.cache.MergeActs(ctx, []broker.Act{act}); err != nil {
			return 0, err
		}
	}
	return n, l.node.journal(ctx, act)
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
