package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"switchpoint/broker"
	"switchpoint/broker/api"
)

const pathLogin = "/api/v1/login"

// maxPrompts bounds how often a user is asked for another new password.
const maxPrompts = 5

// maxQueues bounds how often a login queues anew after its place was lost.
const maxQueues = 2

// home is where a login goes on.
type home struct {
	url    *url.URL
	ticket string // in place of the password; empty: none
}

// signIn goes through the steps of LG5, with the ticket of a redirect if there is one. It returns the
// home cluster when the broker redirects, or nil when the login ended here.
func (s *session) signIn(ctx context.Context, ticket string, seen visited) (*home, error) {
	body := s.password()
	if ticket != "" {
		body = api.LoginRequest{Ticket: ticket, Client: s.login.opts.Client}
	}
	for prompts := 0; ; {
		began := time.Now()
		res, err := s.step(ctx, body)
		if err != nil {
			return nil, fmt.Errorf("sign in at %s: %w", hostOf(s.base), err)
		}
		switch {
		case res.Result == api.ResultPrompt:
			if prompts++; prompts > maxPrompts {
				return nil, fmt.Errorf("sign in at %s: asked for something %d times", hostOf(s.base), prompts)
			}
			if body, err = s.answer(ctx, body, res, began); err != nil {
				return nil, fmt.Errorf("sign in at %s: %w", hostOf(s.base), err)
			}
		case body.Ticket != "" && refusedWith(res, broker.CodeTicket):
			s.login.hop("login", "the ticket is refused by "+who(res.Broker)+", now with the password", began)
			body = s.password()
		default:
			if body.NewPassword != "" && res.Result != api.ResultRefused {
				s.login.opts.Password = body.NewPassword
				s.login.hop("password", "changed", began)
			}
			return s.end(ctx, res, seen, began)
		}
	}
}

// password is the first step without a ticket.
func (s *session) password() api.LoginRequest {
	o := s.login.opts
	return api.LoginRequest{User: o.User, Password: o.Password, Client: o.Client}
}

// step sends one step and waits in the queue if it is told to.
func (s *session) step(ctx context.Context, body api.LoginRequest) (api.LoginResponse, error) {
	res, resent, err := s.post(ctx, body)
	if err == nil && resent && body.NewPassword != "" && refusedWith(res, broker.CodeSignInFailed) {
		// The step whose answer was lost may have changed the password; then the old one is wrong now.
		body.Password, body.NewPassword = body.NewPassword, ""
		res, _, err = s.post(ctx, body)
	}
	return res, err
}

// post sends a step with a key of its own, and again with the same when the queue that it waited in has
// gone with its broker.
func (s *session) post(ctx context.Context, body api.LoginRequest) (res api.LoginResponse, resent bool, err error) {
	key := uuid.NewString()
	for range maxQueues {
		began := time.Now()
		res = api.LoginResponse{}
		var again bool
		again, err = s.callKeyed(ctx, http.MethodPost, pathLogin, key, body, &res)
		resent = resent || again
		if err != nil || res.Result != api.ResultWaiting {
			return res, resent, err
		}
		if res, err = s.queue(ctx, res); err != nil || !refusedWith(res, broker.CodeLoginUnknown) {
			return res, resent, err
		}
		resent = true
		s.login.hop("wait", "the place in the queue is lost", began)
	}
	return res, resent, err
}

func refusedWith(res api.LoginResponse, code string) bool {
	return res.Result == api.ResultRefused && res.Reason != nil && res.Reason.Code == code
}

// queue keeps asking while the login waits, and shows how far it is.
func (s *session) queue(ctx context.Context, res api.LoginResponse) (api.LoginResponse, error) {
	for res.Result == api.ResultWaiting {
		began, poll := time.Now(), res.Poll
		place := fmt.Sprintf("in the queue of %s, %d before", who(res.Broker), res.Position)
		if err := pause(ctx, poll, res.Reason); err != nil {
			return res, err
		}
		res = api.LoginResponse{}
		if err := s.call(ctx, http.MethodGet, poll, nil, &res); err != nil {
			return res, fmt.Errorf("ask how far it is: %w", err)
		}
		s.login.hop("wait", place, began)
	}
	return res, nil
}

// answer is the next step after a prompt.
func (s *session) answer(ctx context.Context, body api.LoginRequest, res api.LoginResponse, began time.Time) (api.LoginRequest, error) {
	if res.Prompt == nil || res.Prompt.Kind != broker.PromptNewPassword {
		return body, fmt.Errorf("this client does not know what is asked for by %s", who(res.Broker))
	}
	s.login.hop("prompt", fmt.Sprintf("%s says: %s", who(res.Broker), res.Prompt.Text), began)
	given := s.login.opts.NewPassword
	switch {
	case given != "" && body.NewPassword == "": // not yet tried
	case s.login.opts.AskNewPassword != nil:
		var err error
		if given, err = s.login.opts.AskNewPassword(ctx, *res.Prompt); err != nil {
			return body, err
		}
	default:
		return body, &PromptError{Prompt: *res.Prompt, Broker: res.Broker}
	}
	if body.Ticket != "" {
		body = s.password() // the directory changes the password of who knows the old one
	}
	body.NewPassword = given
	return body, nil
}

// end is the last step at this cluster.
func (s *session) end(ctx context.Context, res api.LoginResponse, seen visited, began time.Time) (*home, error) {
	switch res.Result {
	case api.ResultRedirect:
		return s.redirect(res, seen, began)
	case api.ResultOffers:
		s.login.hop("login", fmt.Sprintf("signed in through %s, %d offered", who(res.Broker), len(res.Offers)), began)
		s.login.out.Broker, s.login.out.Offers, s.token = res.Broker, res.Offers, res.Token
		if s.login.opts.OffersOnly {
			return nil, nil
		}
		return nil, s.connect(ctx)
	case api.ResultRefused:
		s.login.hop("login", "refused by "+who(res.Broker), began)
		if res.Reason == nil {
			res.Reason = &api.Reason{Code: "unknown", Text: "no reason given"}
		}
		return nil, &RefusedError{Reason: *res.Reason, Broker: res.Broker}
	default:
		return nil, fmt.Errorf("sign in at %s: this client does not know the step %q", hostOf(s.base), res.Result)
	}
}

func who(b api.Broker) string {
	return fmt.Sprintf("broker %s (cluster %s, site %d)", b.Name, b.Cluster, b.SiteID)
}

// redirect checks where the broker sends the user. The ticket, or the password, will go there, so:
// never from https to http, and never back.
func (s *session) redirect(res api.LoginResponse, seen visited, began time.Time) (*home, error) {
	at := "sign in at " + hostOf(s.base)
	if res.Redirect == nil {
		return nil, fmt.Errorf("%s: a redirect without a URL", at)
	}
	with := ""
	if res.Redirect.Ticket != "" {
		with = ", with a ticket"
	}
	s.login.hop("redirect", fmt.Sprintf("%s says: your home is %s%s", who(res.Broker), res.Redirect.URL, with), began)
	if seen.cluster(res.Broker.Cluster) {
		return nil, fmt.Errorf("%s: redirect loop, cluster %q has redirected this login before", at, res.Broker.Cluster)
	}
	u, err := parseBase(res.Redirect.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: redirect: %w", at, err)
	}
	if from, err := url.Parse(s.base); err != nil || from.Scheme == "https" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s: redirect from https to %q would send the password in the clear", at, res.Redirect.URL)
	}
	if seen.place(u) {
		return nil, fmt.Errorf("%s: redirect loop, %s was visited before", at, u.Host)
	}
	return &home{url: &url.URL{Scheme: u.Scheme, Host: u.Host}, ticket: res.Redirect.Ticket}, nil
}

// pause waits for the time that the broker asked for, before poll is asked.
func pause(ctx context.Context, poll string, reason *api.Reason) error {
	if !strings.HasPrefix(poll, "/") { // anything else could become part of the host's name
		return fmt.Errorf("told to wait, but %q is no path to ask at", poll)
	}
	wait := time.Second
	if reason != nil && reason.RetryAfter > 0 {
		wait = time.Duration(reason.RetryAfter) * time.Second
	}
	return sleep(ctx, wait)
}
