package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"switchpoint/broker/api"
)

// Bounds of what is read of an answer.
const (
	maxBody   = 1 << 20
	maxHeader = 64 << 10
)

// defaultPatience is how long a busy broker is asked again, in all.
const defaultPatience = time.Minute

// userAgent names this client in the logs of proxies.
const userAgent = "switchpoint-client"

// session is the exchange with one cluster.
type session struct {
	login     *login
	base      string
	token     string
	transport *http.Transport
	http      *http.Client
}

func (s *session) close() { s.transport.CloseIdleConnections() }

// request is one that may be sent several times.
type request struct {
	method, path, key string
	body              []byte // nil: none
}

// answer is what came back for it. Resent says that an earlier try may have been carried out: its
// answer was lost.
type answer struct {
	status     int
	text       []byte
	retryAfter time.Duration
	resent     bool
}

// call does one exchange with a key of its own.
func (s *session) call(ctx context.Context, method, path string, in, out any) error {
	_, err := s.callKeyed(ctx, method, path, uuid.NewString(), in, out)
	return err
}

// callKeyed is call with the Idempotency-Key of an earlier one, which makes it safe to send again (LG4):
// once more when the connection failed, as a name with several addresses may have lost the one that was
// in use, and as often as patience allows while the answer is 503 with Retry-After.
func (s *session) callKeyed(ctx context.Context, method, path, key string, in, out any) (resent bool, err error) {
	req := request{method: method, path: path, key: key}
	if in != nil {
		if req.body, err = json.Marshal(in); err != nil {
			return false, err
		}
	}
	got, err := s.patiently(ctx, req)
	if err != nil {
		return got.resent, err
	}
	return got.resent, decode(got.status, got.text, out)
}

// patiently sends the request until there is an answer other than "later".
func (s *session) patiently(ctx context.Context, req request) (answer, error) {
	patience := cmp.Or(s.login.opts.Patience, defaultPatience)
	lost, resent := false, false
	for {
		got, err := s.exchange(ctx, req)
		if err != nil && ctx.Err() == nil && !lost {
			lost, resent = true, true
			s.transport.CloseIdleConnections()
			got, err = s.exchange(ctx, req)
		}
		resent = resent || got.resent
		got.resent = resent
		if err != nil || got.status != http.StatusServiceUnavailable || got.retryAfter <= 0 || got.retryAfter > patience {
			return got, err
		}
		patience -= got.retryAfter
		began := time.Now()
		// Some time on top, so that those who were sent away together do not come back together.
		if err := sleep(ctx, got.retryAfter+rand.N(got.retryAfter/4)); err != nil {
			return got, err
		}
		s.login.hop("busy", fmt.Sprintf("%s says: %s; asked again after %s", hostOf(s.base), got.reason(), got.retryAfter), began)
		s.transport.CloseIdleConnections() // the name may lead to another broker by now
	}
}

// exchange sends the request once; net/http does it once more by itself when a connection that it kept
// turns out to be dead, as the Idempotency-Key allows.
func (s *session) exchange(ctx context.Context, r request) (answer, error) {
	var reader io.Reader
	if r.body != nil {
		reader = bytes.NewReader(r.body)
	}
	var sent atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent.Add(1) }})
	req, err := http.NewRequestWithContext(ctx, r.method, s.base+r.path, reader)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("User-Agent", strings.TrimSuffix(userAgent+"/"+s.login.opts.Client.Version, "/"))
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", r.key)
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return answer{status: resp.StatusCode, text: text, resent: sent.Load() > 1, retryAfter: retryAfter(resp.Header.Get("Retry-After"))}, nil
}

// retryAfter reads the header in its form of seconds, the one that brokers and balancers send.
func retryAfter(header string) time.Duration {
	n, err := strconv.Atoi(header)
	if err != nil || n < 0 || n > int((24*time.Hour).Seconds()) {
		return 0
	}
	return time.Duration(n) * time.Second
}

// sleep waits, or returns the reason why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shape is what every answer with a body has.
type shape struct {
	Result string      `json:"result"`
	Reason *api.Reason `json:"reason"`
}

// reason is the code of a refusal, or the status of an answer without one.
func (a answer) reason() string {
	var seen shape
	if json.Unmarshal(a.text, &seen) != nil || seen.Reason == nil {
		return "status " + strconv.Itoa(a.status)
	}
	return seen.Reason.Code
}

// decode reads an answer; a refusal of a login step comes as a body with its result or reason
// and any status, so the body is looked at before the status. Fields that are not known here are
// let through: brokers may be newer.
func decode(status int, text []byte, out any) error {
	var seen shape
	if err := json.Unmarshal(text, &seen); err != nil {
		return fmt.Errorf("status %d and an answer that is not JSON", status)
	}
	if status >= http.StatusBadRequest && seen.Result == "" {
		if seen.Reason == nil {
			return fmt.Errorf("status %d without a reason", status)
		}
		return &RefusedError{Reason: *seen.Reason}
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
