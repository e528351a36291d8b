package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"switchpoint/broker/api"
)

// Bounds of what is read of an answer.
const (
	maxBody   = 1 << 20
	maxHeader = 64 << 10
)

// tellEvery is how often a hop says how far the start of a desktop is.
const tellEvery = 15 * time.Second

// session is the exchange with one cluster.
type session struct {
	login     *login
	base      string
	token     string
	transport *http.Transport
	http      *http.Client
}

func (s *session) close() { s.transport.CloseIdleConnections() }

// signIn goes through the steps of LG5. It returns the URL of the home cluster when the broker
// redirects, or nil when the login ended here.
func (s *session) signIn(ctx context.Context, seen visited) (*url.URL, error) {
	began := time.Now()
	var res api.LoginResponse
	body := api.LoginRequest{User: s.login.opts.User, Password: s.login.opts.Password}
	if err := s.call(ctx, http.MethodPost, "/api/v1/login", body, &res); err != nil {
		return nil, fmt.Errorf("sign in at %s: %w", hostOf(s.base), err)
	}
	for res.Result == api.ResultWaiting {
		if err := s.poll(ctx, &res); err != nil {
			return nil, fmt.Errorf("wait for %s: %w", hostOf(s.base), err)
		}
	}
	who := fmt.Sprintf("broker %s (cluster %s, site %d)", res.Broker.Name, res.Broker.Cluster, res.Broker.SiteID)
	switch res.Result {
	case api.ResultRedirect:
		return s.redirect(res, who, seen, began)
	case api.ResultOffers:
		s.login.hop("login", fmt.Sprintf("signed in through %s, %d offered", who, len(res.Offers)), began)
		s.login.out.Broker, s.login.out.Offers, s.token = res.Broker, res.Offers, res.Token
		if s.login.opts.OffersOnly {
			return nil, nil
		}
		return nil, s.connect(ctx)
	case api.ResultRefused:
		s.login.hop("login", "refused by "+who, began)
		if res.Reason == nil {
			res.Reason = &api.Reason{Code: "unknown", Text: "no reason given"}
		}
		return nil, &RefusedError{Reason: *res.Reason, Broker: res.Broker}
	default:
		return nil, fmt.Errorf("sign in at %s: this client does not know the step %q", hostOf(s.base), res.Result)
	}
}

// redirect checks where the broker sends the user. The password will go there, so: never from
// https to http, and never back.
func (s *session) redirect(res api.LoginResponse, who string, seen visited, began time.Time) (*url.URL, error) {
	at := "sign in at " + hostOf(s.base)
	if res.Redirect == nil {
		return nil, fmt.Errorf("%s: a redirect without a URL", at)
	}
	s.login.hop("redirect", fmt.Sprintf("%s says: your home is %s", who, res.Redirect.URL), began)
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
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// poll waits for the time that the broker asked for, then asks again.
func (s *session) poll(ctx context.Context, res *api.LoginResponse) error {
	poll := res.Poll
	if err := pause(ctx, poll, res.Reason); err != nil {
		return err
	}
	*res = api.LoginResponse{}
	return s.call(ctx, http.MethodGet, poll, nil, res)
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
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// connect takes the first offer.
func (s *session) connect(ctx context.Context) error {
	offers := s.login.out.Offers
	if len(offers) == 0 {
		return errors.New("connect: signed in, but no desktop is offered to this user")
	}
	began := time.Now()
	body := api.ConnectRequest{Offer: offers[0].ID}
	key := uuid.NewString() // one for all: whoever asks again means the same desktop
	var res api.ConnectResponse
	if err := s.callKeyed(ctx, http.MethodPost, "/api/v1/connect", key, body, &res); err != nil {
		return fmt.Errorf("connect to %s: %w", offers[0].Name, err)
	}
	for told := (time.Time{}); res.Result == api.ResultWaiting; {
		if res.Reason != nil && time.Since(told) > tellEvery {
			told = time.Now()
			s.login.hop("start", res.Reason.Text, began)
		}
		poll := res.Poll
		if err := pause(ctx, poll, res.Reason); err != nil {
			return fmt.Errorf("wait for %s: %w", offers[0].Name, err)
		}
		res = api.ConnectResponse{}
		if err := s.callKeyed(ctx, http.MethodPost, poll, key, body, &res); err != nil {
			return fmt.Errorf("connect to %s: %w", offers[0].Name, err)
		}
	}
	if res.Reason != nil {
		return fmt.Errorf("connect to %s: %w", offers[0].Name, &RefusedError{Reason: *res.Reason, Broker: res.Broker})
	}
	s.login.out.Desktop = &res
	s.login.hop("desktop", fmt.Sprintf("%s at %s:%d over %s", res.Desktop, res.Host, res.Port, res.Protocol), began)
	return nil
}

// call does one exchange, and once more when the connection failed: the Idempotency-Key makes
// that safe (LG4), and a name with several addresses may have lost the one that was in use.
func (s *session) call(ctx context.Context, method, path string, in, out any) error {
	return s.callKeyed(ctx, method, path, uuid.NewString(), in, out)
}

// callKeyed is call with the Idempotency-Key of an earlier one.
func (s *session) callKeyed(ctx context.Context, method, path, key string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	status, text, err := s.exchange(ctx, method, path, key, in != nil, body)
	if err != nil && ctx.Err() == nil {
		s.transport.CloseIdleConnections()
		status, text, err = s.exchange(ctx, method, path, key, in != nil, body)
	}
	if err != nil {
		return err
	}
	return decode(status, text, out)
}

func (s *session) exchange(ctx context.Context, method, path, key string, hasBody bool, body []byte) (int, []byte, error) {
	var reader io.Reader
	if hasBody {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, reader)
	if err != nil {
		return 0, nil, err
	}
	if hasBody {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	return resp.StatusCode, text, nil
}

// decode reads an answer; a refusal of a login step comes as a body with its result or reason
// and any status, so the body is looked at before the status.
func decode(status int, text []byte, out any) error {
	var shape struct {
		Result string      `json:"result"`
		Reason *api.Reason `json:"reason"`
	}
	if err := json.Unmarshal(text, &shape); err != nil {
		return fmt.Errorf("status %d and an answer that is not JSON", status)
	}
	if status >= http.StatusBadRequest && shape.Result == "" {
		if shape.Reason == nil {
			return fmt.Errorf("status %d without a reason", status)
		}
		return &RefusedError{Reason: *shape.Reason}
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
