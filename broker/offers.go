package broker

import (
	"context"
	"errors"
	"time"
)

// session finds the running session of a token; code is the refusal otherwise.
func (b *Broker) session(ctx context.Context, token string) (Session, string) {
	t, err := ParseToken(token)
	if err != nil {
		return Session{}, CodeSessionExpired
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := b.o.Store.Session(ctx, t.Hash())
	switch {
	case errors.Is(err, ErrNotFound):
		return Session{}, CodeSessionExpired
	case err != nil:
		b.log.Error("session could not be read", "error", err)
		return Session{}, refusalCode(err)
	}
	return s, ""
}

// Offers lists what the session's user may connect to now. Any broker of the cluster answers
// for a session of any other: it is in the shared store (DC3). The error is a *Refusal.
func (b *Broker) Offers(ctx context.Context, token string) (Session, []Offer, error) {
	s, code := b.session(ctx, token)
	if code != "" {
		return Session{}, nil, refusal(code, "")
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	offers, err := b.o.Store.Offers(ctx, OfferQuery{Who: s.Who, Grants: s.Grants})
	if err != nil {
		b.log.Error("offers could not be read", "error", err)
		return Session{}, nil, refusal(refusalCode(err), "")
	}
	return s, offers, nil
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
	if _, err := b.o.Store.Logout(ctx, s.ID, row); errors.Is(err, ErrNotFound) {
		return refusal(CodeSessionExpired, "")
	} else if err != nil {
		b.log.Error("logout could not be recorded", "error", err)
		return refusal(refusalCode(err), "")
	}
	return nil
}
