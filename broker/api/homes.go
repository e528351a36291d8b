package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"switchpoint/redirect"
)

// Bounds of a call to a home cluster.
const (
	homeWithin  = 30 * time.Second // above answer_within of a broker there
	homeConnect = 5 * time.Second
	maxAnswer   = 1 << 20
)

// homes calls the brokers of other clusters for clients that cannot go there themselves.
type homes struct {
	mu      sync.Mutex
	clients map[string]*http.Client // by the file with the roots to trust; "" is the system's
}

// homeCall is one request to a destination. Token and key may be empty, and body nil.
type homeCall struct {
	method, path, token, key, client string
	body                             []byte
}

// homeAnswer is what a destination answered.
type homeAnswer struct {
	status     int
	retryAfter string
	body       []byte
}

// call makes a request. The client's address goes along, for a cluster that trusts this broker as a proxy.
func (h *homes) call(ctx context.Context, d redirect.Destination, c homeCall) (homeAnswer, error) {
	client, err := h.client(d.CA)
	if err != nil {
		return homeAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, homeWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, c.method, strings.TrimSuffix(d.URL, "/")+c.path, bytes.NewReader(c.body))
	if err != nil {
		return homeAnswer{}, err
	}
	for name, value := range map[string]string{"Idempotency-Key": c.key, "X-Forwarded-For": c.client} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(r)
	if err != nil {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			h.forget(d.CA) // the file may have others by now
		}
		return homeAnswer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	return homeAnswer{res.StatusCode, res.Header.Get("Retry-After"), text}, err
}

// login is a call whose answer is a login step.
func (h *homes) login(ctx context.Context, d redirect.Destination, c homeCall, body *LoginRequest) (int, LoginResponse, error) {
	var out LoginResponse
	if body != nil {
		var err error
		if c.body, err = json.Marshal(body); err != nil { //nolint:gosec // G117: a sign-in carries the password
			return 0, out, err
		}
	}
	a, err := h.call(ctx, d, c)
	if err != nil {
		return 0, out, err
	}
	if err := json.Unmarshal(a.body, &out); err != nil || out.Result == "" {
		return 0, out, fmt.Errorf("status %d and no login step", a.status)
	}
	return a.status, out, nil
}

func (h *homes) client(ca string) (*http.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.clients[ca]; c != nil {
		return c, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read the CA file: %w", err)
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in the CA file %s", ca)
		}
	}
	c := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: config, TLSHandshakeTimeout: homeConnect, MaxIdleConnsPerHost: 16, IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if h.clients == nil {
		h.clients = make(map[string]*http.Client)
	}
	h.clients[ca] = c
	return c, nil
}

func (h *homes) forget(ca string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.clients[ca]; c != nil {
		c.CloseIdleConnections()
		delete(h.clients, ca)
	}
}

func (h *homes) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clients {
		c.CloseIdleConnections()
	}
}
