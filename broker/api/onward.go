package api

import (
	"cmp"
	"encoding/base64"
	"io"
	"net/http"
	"strings"

	"switchpoint/broker"
	"switchpoint/redirect"
)

// A client that cannot follow a redirect says so (Client.NoRedirect, RD8). Its broker then signs the user in at
// his home cluster, with the ticket of the redirect, and passes on what the client asks for afterwards. The token
// that it is given names the destination, so any broker of this cluster can do that. None but destinations of the
// setup are called, whatever a client or another cluster says.

const (
	homePrefix = "home1."
	// noRedirect in the query of a poll says what Client.NoRedirect does.
	noRedirect = "no_redirect"
)

// atHome marks what a destination gave: a token, or the id of a login that waits.
func atHome(destination, secret string) string {
	return homePrefix + base64.RawURLEncoding.EncodeToString([]byte(destination)) + "." + secret
}

// ofHome takes apart what atHome made; ok is false for what this cluster gave itself.
func ofHome(text string) (destination, secret string, ok bool) {
	rest, ok := strings.CutPrefix(text, homePrefix)
	if !ok {
		return "", "", false
	}
	name, secret, _ := strings.Cut(rest, ".")
	plain, err := base64.RawURLEncoding.Strict().DecodeString(name)
	if err != nil || strings.ContainsFunc(secret, notOfSecret) {
		return "", "", false
	}
	return string(plain), secret, true
}

// notOfSecret says whether a sign is in no token and no id, which keeps a path a path.
func notOfSecret(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_' && r != '.'
}

// onward is a login that goes on at the home cluster for a client.
type onward struct {
	server *Server
	r      *http.Request
	// signIn is what the client signs in with, should a ticket not be taken; without a user there is nothing.
	signIn LoginRequest
	ref    string // of this broker's log row
}

// home signs in where a redirect leads, and gives the answer; ok is false where the client has to go by itself, to
// who takes no ticket.
func (o *onward) home(res broker.LoginResult) (status int, out LoginResponse, ok bool) {
	d, ok := o.server.broker.Destination(res.Home)
	if !ok || res.Ticket == "" {
		return 0, out, false
	}
	o.ref = res.Ref
	status, out, err := o.at(d, res.Ticket)
	if err != nil {
		status, out = o.failed(d, err)
		return status, out, true
	}
	return status, o.mine(d, out), true
}

// at signs in at a destination: with the ticket, or as the client would where that is not taken.
func (o *onward) at(d redirect.Destination, ticket string) (int, LoginResponse, error) {
	client := o.signIn.Client
	client.NoRedirect = false
	call := homeCall{method: http.MethodPost, path: pathLogin, client: o.server.clientAddr(o.r)}
	status, out, err := o.server.homes.login(o.r.Context(), d, call, &LoginRequest{Ticket: ticket, Client: client})
	if err != nil || out.Reason == nil || out.Reason.Code != broker.CodeTicket || o.signIn.User == "" {
		return status, out, err
	}
	return o.server.homes.login(o.r.Context(), d, call, &LoginRequest{
		User: o.signIn.User, Password: cmp.Or(o.signIn.NewPassword, o.signIn.Password), Client: client,
	})
}

// poll asks a destination for the outcome of a login that waits there.
func (o *onward) poll(name, id string) (int, LoginResponse) {
	d, ok := o.server.broker.Destination(name)
	if !ok { // it has gone from the setup since
		return o.refused()
	}
	call := homeCall{method: http.MethodGet, path: pathLogin + "/" + id, client: o.server.clientAddr(o.r)}
	status, out, err := o.server.homes.login(o.r.Context(), d, call, nil)
	if err != nil {
		return o.failed(d, err)
	}
	return status, o.mine(d, out)
}

// mine makes the answer of a destination one whose next step comes back here.
func (o *onward) mine(d redirect.Destination, out LoginResponse) LoginResponse {
	if out.Token != "" {
		out.Token = atHome(d.Name, out.Token)
	}
	if id, ok := strings.CutPrefix(out.Poll, pathLogin+"/"); ok {
		out.Poll = pathLogin + "/" + atHome(d.Name, id)
	}
	return out
}

func (o *onward) failed(d redirect.Destination, err error) (int, LoginResponse) {
	o.server.log.Warn("a login could not be passed on to the home cluster", "destination", d.Name, "error", err, "ref", o.ref)
	return o.refused()
}

func (o *onward) refused() (int, LoginResponse) {
	status, out := loginAnswer(broker.LoginResult{Refusal: broker.HomeUnavailable(o.ref)})
	out.Broker = o.server.self()
	return status, out
}

// orHome passes a request on whose token a home cluster has given; all others are for next.
func (s *Server) orHome(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if name, token, ok := ofHome(bearer(r)); ok {
			s.passOn(w, r, name, token)
			return
		}
		next(w, r)
	}
}

func (s *Server) passOn(w http.ResponseWriter, r *http.Request, name, token string) {
	d, ok := s.broker.Destination(name)
	if !ok { // it has gone from the setup since
		fail(w, broker.HomeUnavailable(""))
		return
	}
	key, bad := idempotencyKey(r)
	if bad != nil {
		fail(w, bad)
		return
	}
	call := homeCall{method: r.Method, path: r.URL.Path, token: token, key: key, client: s.clientAddr(r)}
	if r.Method == http.MethodPost {
		var err error
		if call.body, err = io.ReadAll(r.Body); err != nil { // too large, or the client has gone
			fail(w, &requestError{http.StatusRequestEntityTooLarge, codeTooLarge, "The body cannot be read: it is too large, or ends too early."})
			return
		}
	}
	a, err := s.homes.call(r.Context(), d, call)
	if err != nil {
		s.log.Warn("a request could not be passed on to the home cluster", "destination", d.Name, "path", r.URL.Path, "error", err)
		fail(w, broker.HomeUnavailable(""))
		return
	}
	if a.retryAfter != "" {
		w.Header().Set("Retry-After", a.retryAfter)
	}
	if len(a.body) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that has gone away cannot be told
}
