package api

import (
	"math"
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
	if err == nil {
		err = body.check()
	}
	if err != nil {
		fail(w, err)
		return
	}
	s.answerLogin(w, r, body, s.logins.Login(r.Context(), broker.LoginRequest{
		User: body.User, Password: body.Password, NewPassword: body.NewPassword, Ticket: body.Ticket, Directory: body.Directory,
		ClientName: clientName(body.Client), ClientAddr: s.clientAddr(r), Key: key, Arrived: arrived,
	}))
}

// loginOutcome is GET /api/v1/login/ID: how the login ended that waits under this id, or that it
// still waits. Any broker of the cluster answers it.
func (s *Server) loginOutcome(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if home, there, ok := ofHome(id); ok {
		o := onward{server: s, r: r}
		status, out := o.poll(home, there)
		s.writeLogin(w, status, out)
		return
	}
	body := LoginRequest{Client: Client{NoRedirect: r.URL.Query().Has(noRedirect)}}
	s.answerLogin(w, r, body, s.logins.LoginOutcome(r.Context(), id))
}

// check refuses what says two things, or nothing. A name without a password is no matter of form:
// it is a failed sign-in (SE2).
func (b LoginRequest) check() *requestError {
	named := b.User != "" || b.Password != ""
	var text string
	switch {
	case b.Ticket != "" && (named || b.NewPassword != "" || b.Directory != ""):
		text = "A ticket says who signs in: send it without user, password, new_password and directory."
	case b.Ticket == "" && !named:
		text = "There is nothing to sign in with: send user and password, or the ticket of a redirect."
	default:
		return nil
	}
	return &requestError{http.StatusBadRequest, codeBadRequest, text}
}

// answerLogin writes a login step of this cluster, or what becomes of it at home.
func (s *Server) answerLogin(w http.ResponseWriter, r *http.Request, body LoginRequest, res broker.LoginResult) {
	status, out := loginAnswer(res)
	out.Broker = s.self()
	switch {
	case !body.Client.NoRedirect:
	case out.Redirect != nil:
		o := onward{server: s, r: r, signIn: body}
		if there, answer, ok := o.home(res); ok {
			status, out = there, answer
		}
	case out.Poll != "":
		out.Poll += "?" + noRedirect + "=1"
	}
	s.writeLogin(w, status, out)
}

func (s *Server) writeLogin(w http.ResponseWriter, status int, out LoginResponse) {
	if out.Reason != nil {
		retryAfter(w, out.Reason.RetryAfter)
	}
	writeJSON(w, status, out)
}

// loginAnswer is the wire form of a login step (LG5).
func loginAnswer(res broker.LoginResult) (status int, out LoginResponse) {
	switch {
	case res.Refusal != nil:
		reason := reasonOf(res.Refusal)
		return LoginStatus(reason.Code), LoginResponse{Result: ResultRefused, Reason: &reason, Position: res.Refusal.Position}
	case res.Waiting != nil:
		return http.StatusAccepted, LoginResponse{
			Result: ResultWaiting, Poll: pathLogin + "/" + res.Waiting.ID, Position: res.Waiting.Position, Reason: waitingReason(res.Waiting),
		}
	case res.Prompt != nil:
		return http.StatusOK, LoginResponse{Result: ResultPrompt, Prompt: &Prompt{Kind: res.Prompt.Kind, Text: res.Prompt.Text, Code: res.Prompt.Code}}
	case res.Redirect != "":
		return http.StatusOK, LoginResponse{Result: ResultRedirect, Redirect: &Redirect{URL: res.Redirect, Ticket: res.Ticket}}
	}
	return http.StatusOK, LoginResponse{Result: ResultOffers, Token: res.Token, Offers: wireOffers(res.Offers)}
}

// waitingReason says why the client waits and when it is to ask again, after a second at the earliest.
func waitingReason(w *broker.Waiting) *Reason {
	return &Reason{
		Code: codeQueued, Text: "Many people are signing in right now. Your place in the queue is kept.",
		RetryAfter: max(1, int(math.Ceil(w.RetryAfter.Seconds()))),
	}
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
