package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"switchpoint/broker"
)

// bearer reads the session token; without one the broker refuses the empty token.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// offers is GET /api/v1/offers.
func (s *Server) offers(w http.ResponseWriter, r *http.Request) {
	_, offers, err := s.broker.Offers(r.Context(), bearer(r), s.clientAddr(r))
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, OffersResponse{Offers: wireOffers(offers), Broker: s.self()})
}

// connect is POST /api/v1/connect.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	var body ConnectRequest
	if err := decode(r, &body); err != nil {
		fail(w, err)
		return
	}
	key, bad := idempotencyKey(r)
	if bad != nil {
		fail(w, bad)
		return
	}
	c, err := s.broker.Connect(r.Context(), broker.ConnectRequest{
		Token: bearer(r), Offer: body.Offer, Key: key, ClientAddr: s.clientAddr(r), Arrived: arrived,
	})
	if starting, ok := errors.AsType[*broker.Refusal](err); ok && starting.Code == broker.CodeStarting {
		reason := reasonOf(starting)
		retryAfter(w, reason.RetryAfter)
		writeJSON(w, http.StatusAccepted, ConnectResponse{Result: ResultWaiting, Poll: pathConnect, Reason: &reason, Broker: s.self()})
		return
	}
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, ConnectResponse{
		Desktop: c.Desktop, Host: c.Host, Port: c.Port, Protocol: c.Protocol,
		File: File{Name: c.File.Name, MIME: c.File.MIME, Text: c.File.Text}, Broker: s.self(),
	})
}

// logout is POST /api/v1/logout.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if err := s.broker.Logout(r.Context(), bearer(r), s.clientAddr(r)); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
