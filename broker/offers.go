package broker

import (
	"context"
	"errors"
	"time"
)

// session finds the running session of a token; code is the refusal otherwise.
func (b *Broker) session(ctx context.Context, token string) (Session, string) {
	if b.left() {
		return Session{}, CodeStopped
	}
	t, err := ParseToken(token)
	if err != nil {
		return Session{}, CodeSessionExpired
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	hash := t.Hash()
	s, err := b.findSession(ctx, t.SiteID, hash)
	switch {
	case errors.Is(err, ErrNotFound):
		return Session{}, CodeSessionExpired
	case err != nil:
		b.log.Error("session could not be read", "error", err)
		return Session{}, refusalCode(err)
	}
	b.touch(ctx, hash, s)
	return s, ""
}

// ended asks the store itself whether the session of a good token has ended; code is the refusal then.
func (b *Broker) ended(ctx context.Context, token string) (code string) {
	t, err := ParseToken(token)
	if err != nil {
		return CodeSessionExpired
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, err = b.storedSession(ctx, t.Hash())
	switch {
	case errors.Is(err, ErrNotFound):
		return CodeSessionExpired
	case err != nil:
		return refusalCode(err)
	}
	return ""
}

// Offers lists what the session's user may connect to now. Any broker of the cluster answers
// for a session of any other: it is in the shared store (DC3). The error is a *Refusal.
func (b *Broker) Offers(ctx context.Context, token, clientAddr string) (Session, []Offer, error) {
	arrived := time.Now()
	s, code := b.session(ctx, token)
	if code != "" {
		return Session{}, nil, refusal(code, "")
	}
	row := b.newRow(LogOffers, clientAddr, s.ClientName)
	row.Who, row.Session, row.Duration = s.Who, s.ID, time.Since(arrived)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	offers, err := b.o.Store.Offers(ctx, OfferQuery{Who: s.Who, Grants: s.Grants, Log: &row})
	if err != nil {
		b.log.Error("offers could not be read", "error", err)
		return Session{}, nil, refusal(refusalCode(err), "")
	}
	return s, arrange(offers, s), nil
}

// Logout ends the session and releases its pooled desktops. The error is a *Refusal.
func (b *Broker) Logout(ctx context.Context, token, clientAddr string) error {
	arrived := time.Now()
	s, code := b.session(ctx, token)
	if code != "" {
		return refusal(code, "")
	}
	row := b.newRow(LogLogout, clientAddr, s.ClientName)
	row.Who, row.Session, row.Duration = s.Who, s.ID, time.Since(arrived)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, err := b.o.Store.Logout(ctx, s.ID, row)
	if err == nil || errors.Is(err, ErrNotFound) {
		b.sessions.endToken(token)
		b.tellEnd(ctx, token, s.ID, row)
	}
	if errors.Is(err, ErrNotFound) {
		return refusal(CodeSessionExpired, "")
	} else if err != nil {
		b.log.Error("logout could not be recorded", "error", err)
		return refusal(refusalCode(err), "")
	}
	return nil
}
