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
	"time"

	"github.com/google/uuid"

	"switchpoint/broker/api"
)

// maxBody bounds what is read of an answer.
const maxBody = 1 << 20

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
// redirects, or "" when the login ended here.
func (s *session) signIn(ctx context.Context, visited map[string]bool) (string, error) {
	began := time.Now()
	var res api.LoginResponse
	body := api.LoginRequest{User: s.login.opts.User, Password: s.login.opts.Password}
	if err := s.call(ctx, http.MethodPost, "/api/v1/login", body, &res); err != nil {
		return "", fmt.Errorf("sign in at %s: %w", hostOf(s.base), err)
	}
	for res.Result == api.ResultWaiting {
		if err := s.poll(ctx, &res); err != nil {
			return "", fmt.Errorf("wait for %s: %w", hostOf(s.base), err)
		}
	}
	who := fmt.Sprintf("broker %s (cluster %s, site %d)", res.Broker.Name, res.Broker.Cluster, res.Broker.SiteID)
	switch res.Result {
	case api.ResultRedirect:
		return s.redirect(res, who, visited, began)
	case api.ResultOffers:
		s.login.hop("login", fmt.Sprintf("signed in through %s, %d offered", who, len(res.Offers)), began)
		s.login.out.Broker, s.login.out.Offers, s.token = res.Broker, res.Offers, res.Token
		if s.login.opts.OffersOnly {
			return "", nil
		}
		return "", s.connect(ctx)
	case api.ResultRefused:
		s.login.hop("login", "refused by "+who, began)
		if res.Reason == nil {
			res.Reason = &api.Reason{Code: "unknown", Text: "no reason given"}
		}
		return "", &RefusedError{Reason: *res.Reason, Broker: res.Broker}
	default:
		return "", fmt.Errorf("sign in at %s: this client does not know the step %q", hostOf(s.base), res.Result)
	}
}

func (s *session) redirect(res api.LoginResponse, who string, visited map[string]bool, began time.Time) (string, error) {
	if res.Redirect == nil {
		return "", fmt.Errorf("sign in at %s: a redirect without a URL", hostOf(s.base))
	}
	s.login.hop("redirect", fmt.Sprintf("%s says: your home is %s", who, res.Redirect.URL), began)
	visited[res.Broker.Cluster] = true
	u, err := url.Parse(res.Redirect.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", fmt.Errorf("sign in at %s: redirect to %q, which is no http(s) URL", hostOf(s.base), res.Redirect.URL)
	}
	from, err := url.Parse(s.base)
	if err == nil && from.Scheme == "https" && u.Scheme != "https" {
		return "", fmt.Errorf("sign in at %s: redirect from https to %s would send the password in the clear", hostOf(s.base), res.Redirect.URL)
	}
	if visited[u.Host] {
		return "", fmt.Errorf("sign in at %s: redirect loop, %s was visited before", hostOf(s.base), u.Host)
	}
	visited[u.Host] = true
	return u.Scheme + "://" + u.Host, nil
}

// poll waits for the time that the broker asked for, then asks again.
func (s *session) poll(ctx context.Context, res *api.LoginResponse) error {
	if res.Poll == "" {
		return errors.New("told to wait without a place to ask")
	}
	wait := time.Second
	if res.Reason != nil && res.Reason.RetryAfter > 0 {
		wait = time.Duration(res.Reason.RetryAfter) * time.Second
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
	}
	poll := res.Poll
	*res = api.LoginResponse{}
	return s.call(ctx, http.MethodGet, poll, nil, res)
}

// connect takes the first offer.
func (s *session) connect(ctx context.Context) error {
	offers := s.login.out.Offers
	if len(offers) == 0 {
		return errors.New("connect: signed in, but no desktop is offered to this user")
	}
	began := time.Now()
	var res api.ConnectResponse
	if err := s.call(ctx, http.MethodPost, "/api/v1/connect", api.ConnectRequest{Offer: offers[0].ID}, &res); err != nil {
		return fmt.Errorf("connect to %s: %w", offers[0].Name, err)
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
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	key := uuid.NewString()
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
