package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"switchpoint/broker/api"
)

// SignedIn is a user whose client stays open: it can ask for the offers again. Its methods are for
// one goroutine.
type SignedIn struct {
	session *session
	Outcome Outcome // of the sign-in
}

// SignIn is Login without connecting to a desktop; the session stays. Close must be called.
func SignIn(ctx context.Context, o Options) (*SignedIn, error) {
	o.OffersOnly = true
	l, s, err := signIn(ctx, o)
	if err != nil {
		return nil, err
	}
	return &SignedIn{session: s, Outcome: l.out}, nil
}

// Offers asks for the list again, and says who answered. The error is a *RefusedError when a broker
// said no.
func (s *SignedIn) Offers(ctx context.Context) ([]api.Offer, api.Broker, error) {
	s.session.login.forgetHops()
	var res api.OffersResponse
	if err := s.session.call(ctx, http.MethodGet, "/api/v1/offers", nil, &res); err != nil {
		return nil, api.Broker{}, fmt.Errorf("ask for the offers: %w", err)
	}
	return res.Offers, res.Broker, nil
}

// forgetHops drops the hops of what is over, so that they do not pile up.
func (l *login) forgetHops() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Hops = nil
}

// SignOut ends the session.
func (s *SignedIn) SignOut(ctx context.Context) error {
	got, err := s.session.exchange(ctx, request{method: http.MethodPost, path: "/api/v1/logout"})
	if err == nil && got.status != http.StatusNoContent {
		err = decode(got.status, got.text, &struct{}{})
		if err == nil {
			err = errors.New("the answer is no sign-out")
		}
	}
	if err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	return nil
}

// Reconnect drops the connections: the next request resolves the name anew and may reach another
// broker, as that of a client does which was idle for a while.
func (s *SignedIn) Reconnect() { s.session.transport.CloseIdleConnections() }

// Close gives the connections back; it does not end the session.
func (s *SignedIn) Close() { s.session.close() }
