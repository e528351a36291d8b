package api

import (
	"net/http"
	"time"

	"switchpoint/broker"
)

// login is POST /api/v1/login.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var body LoginRequest
	if err := decode(r, &body); err != nil {
		fail(w, err)
		return
	}
	arrived := time.Now() // of the whole: who holds the body back must not use up the floor of SE2
	key, err := idempotencyKey(r)
	if err != nil {
		fail(w, err)
		return
	}
	res := s.broker.Login(r.Context(), broker.LoginRequest{
		User: body.User, Password: body.Password, Directory: body.Directory,
		ClientName: clientName(body.Client), ClientAddr: s.clientAddr(r), Key: key, Arrived: arrived,
	})
	out := LoginResponse{Broker: s.self()}
	status := http.StatusOK
	switch {
	case res.Refusal != nil:
		reason := reasonOf(res.Refusal)
		out.Result, out.Reason = ResultRefused, &reason
		status = loginStatus(res.Refusal.Code)
		retryAfter(w, reason.RetryAfter)
	case res.Redirect != "":
		out.Result, out.Redirect = ResultRedirect, &Redirect{URL: res.Redirect}
	default:
		out.Result, out.Token, out.Offers = ResultOffers, res.Token, wireOffers(res.Offers)
	}
	writeJSON(w, status, out)
}

// loginStatus is statusOf, but a login without any offer is a matter of rights.
func loginStatus(code string) int {
	if code == broker.CodeNoDesktop {
		return http.StatusForbidden
	}
	return statusOf(code)
}

func clientName(c Client) string {
	if c.Version == "" {
		return c.Name
	}
	return c.Name + " " + c.Version
}

// idempotencyKey reads the header of LG4; an absent one is "".
func idempotencyKey(r *http.Request) (string, *requestError) {
	values := r.Header.Values("Idempotency-Key")
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1 || !broker.ValidKey(values[0]):
		return "", &requestError{http.StatusBadRequest, codeBadRequest, "The Idempotency-Key must be 1 to 200 printable ASCII characters, given once."}
	}
	return values[0], nil
}

// self says who answers.
func (s *Server) self() Broker {
	n := s.broker.Node()
	return Broker{Name: n.Name, SiteID: n.SiteID, Cluster: s.broker.Cluster(), Datacenter: n.Datacenter}
}

func wireOffers(list []broker.Offer) []Offer {
	out := make([]Offer, len(list))
	for i, o := range list {
		out[i] = Offer{ID: o.ID.String(), Name: o.Name, Pool: o.Pool, Kind: o.Kind, Protocol: o.Protocol, State: o.State}
	}
	return out
}
